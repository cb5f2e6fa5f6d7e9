# Keeps JSON documents; tools/bench/src/servers/service.rs has the protocol.
require "json"
require "socket"

DOCUMENTS = {}
LOCK = Mutex.new

def answer(line)
  request, key, text = line.chomp.split(" ", 3)
  case request
  when "put"
    document = JSON.parse(text)
    LOCK.synchronize { DOCUMENTS[key] = document }
    return JSON.generate(document).bytesize
  when "drop" then LOCK.synchronize { DOCUMENTS.delete(key) }
  else GC.start
  end
  DOCUMENTS.size
end

Thread.new do
  loop do
    sleep 0.1
    JSON.generate({ "alive" => true })
  end
end

server = UNIXServer.new("socket")
loop do
  connection = server.accept
  Thread.new(connection) do |stream|
    while (line = stream.gets)
      stream.write("#{answer(line)}\n")
    end
  end
end
