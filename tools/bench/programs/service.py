# Keeps JSON documents; tools/bench/src/servers/service.rs has the protocol.
import asyncio
import gc
import json

documents = {}


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.left = b""

    def data_received(self, data):
        *lines, self.left = (self.left + data).split(b"\n")
        self.transport.write(b"".join(b"%d\n" % answer(line) for line in lines))


def answer(line):
    request, _, rest = line.partition(b" ")
    if request == b"put":
        key, _, text = rest.partition(b" ")
        document = json.loads(text)
        documents[int(key)] = document
        return len(json.dumps(document))
    if request == b"drop":
        del documents[int(rest)]
    else:
        gc.collect()
    return len(documents)


async def main():
    await asyncio.get_running_loop().create_unix_server(Connection, "socket")
    while True:
        await asyncio.sleep(0.1)
        json.dumps({"alive": True})


asyncio.run(main())
