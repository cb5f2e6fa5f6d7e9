// Takes memory outside of the engine's own heap until there is none, lets it go, and goes on. With an argument it first says that it is
// ready, and waits to be let go.
'use strict';
const fs = require('fs');
if (process.argv.length > 2) {
  fs.writeFileSync('ready', '');
  while (!fs.existsSync('go')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}
let kept = [];
try {
  for (;;) kept.push(Buffer.alloc(3000000, 1));
} catch (error) {
  kept = [];
  console.log(`${error.message}, and on it goes with ${Buffer.alloc(100).length} bytes`);
}
