let seed = 1;
const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
let total = 0;
for (let turn = 0; turn < 15; turn++) {
    const buffers = [];
    for (let i = 0; i < 20000; i++) {
        const buffer = Buffer.alloc(64 + Math.floor(random() * 4000), i & 255);
        if (random() < 0.2) buffers.push(buffer);
    }
    const map = new Map(buffers.map((buffer, i) => [`key ${i}`, buffer.toString("base64")]));
    total += JSON.stringify([...map]).length;
}
console.log(total);
