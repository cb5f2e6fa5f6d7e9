math.randomseed(1)
local function tree(depth)
    if depth == 0 then return { value = 1 } end
    return { left = tree(depth - 1), right = tree(depth - 1), value = depth }
end
local function sum(node)
    return node.left and node.value + sum(node.left) + sum(node.right) or node.value
end
local total = 0
for _ = 1, 12 do
    total = total + sum(tree(15))
    local parts = {}
    for i = 1, 80000 do parts[#parts + 1] = "key" .. i .. string.rep("x", i % 40) end
    total = total + #table.concat(parts)
end
print(total)
