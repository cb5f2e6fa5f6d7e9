// Keeps JSON documents; tools/bench/src/servers/service.rs has the protocol.
const net = require("net");
const documents = new Map();

function answer(line) {
  const [request, key] = line.split(" ", 2);
  if (request === "put") {
    const text = line.slice(request.length + key.length + 2);
    const document = JSON.parse(text);
    const written = JSON.stringify(document);
    documents.set(key, { document, bytes: Buffer.from(written) });
    return written.length;
  }
  if (request === "drop") documents.delete(key);
  else global.gc();
  return documents.size;
}

net
  .createServer((connection) => {
    let left = "";
    connection.on("data", (data) => {
      const lines = (left + data).split("\n");
      left = lines.pop();
      connection.write(lines.map((line) => answer(line) + "\n").join(""));
    });
  })
  .listen("socket");

setInterval(() => JSON.stringify({ alive: true }), 100);
