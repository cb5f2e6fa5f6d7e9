// JSON, Buffers, maps, workers that send and transfer memory to each other, compression.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');
const crypto = require('crypto');

let seed = 7;
function random(n) {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return seed % n;
}

function digest(data) {
  return crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);
}

function records(n) {
  const list = [];
  for (let i = 0; i < n; i++) {
    list.push({ id: i, name: 'name' + random(1e6), tags: ['a' + random(10), 'b' + random(100)], nested: { x: random(1e9) / 7 } });
  }
  return list;
}

if (!isMainThread) {
  seed = workerData.seed;
  const text = JSON.stringify(records(6000));
  const parsed = JSON.parse(text);
  const buffer = new Uint8Array(Buffer.from(text));
  parentPort.postMessage({ seed: workerData.seed, count: parsed.length, buffer: buffer.buffer }, [buffer.buffer]);
} else {
  const text = JSON.stringify(records(40000));
  console.log('json', text.length, digest(text), JSON.parse(text)[39999].name);

  const held = [];
  let written = 0;
  for (let i = 0; i < 60000; i++) {
    const block = Buffer.alloc(1 + random(i % 100 === 0 ? 300000 : 3000), i & 255);
    written += block.length;
    held[random(2000)] = block;
  }
  console.log('buffers', written, digest(Buffer.concat(held.filter(Boolean))));

  const map = new Map();
  for (let i = 0; i < 200000; i++) map.set('key' + random(50000), i);
  console.log('map', map.size);

  const packed = zlib.gzipSync(text, { level: 6 });
  console.log('gzip', packed.length, zlib.gunzipSync(packed).length === text.length);
  console.log('brotli', zlib.brotliCompressSync(text.slice(0, 400000), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }).length);

  const lines = [];
  let left = 6;
  for (let i = 1; i <= left; i++) {
    const worker = new Worker(__filename, { workerData: { seed: i * 31 } });
    worker.on('message', (m) => lines.push(`worker ${m.seed} ${m.count} ${digest(Buffer.from(m.buffer))}`));
    worker.on('error', (error) => { throw error; });
    worker.on('exit', () => {
      left -= 1;
      if (left === 0) {
        lines.sort();
        console.log(lines.join('\n'));
        process.exitCode = 9;
      }
    });
  }
}
