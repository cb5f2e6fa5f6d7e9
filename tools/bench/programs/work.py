import ast, collections, json, random
random.seed(1)
for turn in range(6):
    records = [{"id": i, "name": f"name {i}", "tags": [str(random.random()) for _ in range(5)]} for i in range(20000)]
    text = json.dumps(records)
    groups = collections.defaultdict(list)
    for record in json.loads(text):
        groups[record["id"] % 97].append(record)
    words = sorted(word for group in groups.values() for record in group for word in record["tags"])
    source = "\n".join(f"def f{i}(a, b):\n    return [a * {i}, b, 'x{i}']" for i in range(1500))
    nodes = sum(1 for _ in ast.walk(ast.parse(source)))
print(len(words), nodes)
