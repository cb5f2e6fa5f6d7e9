-- Takes memory until there is none, frees it all, and takes some once more until it is out of memory in its own way. With an argument it
-- first says that it is ready, and waits to be let go.
if ... then
  assert(io.open("ready", "w")):close()
  -- Without a process that sleeps: it might not get what it needs when it is to be.
  repeat until io.open("go")
end
local hundred = ("x"):rep(100)
local function take()
  local kept = {}
  while true do
    for _, times in ipairs { 1, 7, 90, 1200, 30000 } do
      kept[#kept + 1] = hundred:rep(times)
    end
  end
end
local ok, why = pcall(take)
assert(not ok and why == "not enough memory", why)
collectgarbage()
take()
