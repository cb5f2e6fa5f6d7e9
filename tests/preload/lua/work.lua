-- Tables, strings, closures and coroutines; the collector frees all the while. Lua takes all memory through realloc.
local seed = 42
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed % n
end

local function tree(depth)
  if depth == 0 then return {} end
  return { left = tree(depth - 1), right = tree(depth - 1), depth = depth }
end
local function count(node)
  if not node.left then return 1 end
  return 1 + count(node.left) + count(node.right)
end
for round = 1, 6 do print("tree", round, count(tree(15))) end

local words, kinds = {}, 0
for i = 1, 400000 do
  local word = string.format("%x-%d", random(50000), i % 7)
  if not words[word] then kinds = kinds + 1 end
  words[word] = (words[word] or 0) + 1
end
print("words", kinds)

local parts = {}
for i = 1, 200000 do parts[#parts + 1] = tostring(i * i) end
local text = table.concat(parts, ",")
print("text", #text, text:sub(1000, 1030))
local sum = 0
for number in text:gmatch("%d+") do sum = (sum + tonumber(number)) % 1000003 end
print("sum", sum, (text:gsub("1", "one")):len())

local growing = ""
for i = 1, 4000 do growing = growing .. i .. ";" end
print("growing", #growing)

local function producer(n)
  return coroutine.wrap(function() for i = 1, n do coroutine.yield({ i, tostring(i) }) end end)
end
local produced = 0
for round = 1, 200 do
  for pair in producer(100) do produced = produced + #pair[2] end
end
print("produced", produced)

table.sort(parts)
print("sorted", parts[1], parts[#parts // 2], parts[#parts])
words, parts, text = nil, nil, nil
collectgarbage()
print("left less than 5 MB", collectgarbage("count") < 5000)
collectgarbage("generational")
for round = 1, 4 do print("generational", count(tree(14))) end
os.exit(5, true)
