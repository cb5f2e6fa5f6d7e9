"""Builds and parses JSON in four threads: the program that scripts/demo runs on HAKMEM.

Two threads build documents and turn them into text, two others parse the text and compare, so that most memory is
allocated in one thread and freed in another.
"""

import json
import random
from concurrent.futures import ThreadPoolExecutor

DOCUMENTS = 48
RECORDS = 1500


def build(seed):
    """Returns a list of records such as a web service sends, and its text."""
    choose = random.Random(seed)
    document = [
        {
            "id": number,
            "name": f"customer {choose.randrange(10**9)}",
            "tags": [f"tag-{choose.randrange(1000)}" for _ in range(choose.randrange(8))],
            "balance": choose.random() * 1000,
            "history": {str(2000 + year): choose.randrange(10**6) for year in range(choose.randrange(12))},
            "note": "x" * choose.randrange(400),
        }
        for number in range(RECORDS)
    ]
    return document, json.dumps(document)


def check(built):
    """Returns the length of the text, if parsing it gives the document that it was made from."""
    document, text = built
    if json.loads(text) != document:
        raise ValueError("what was parsed is not what was built")
    return len(text)


with ThreadPoolExecutor(2) as builders, ThreadPoolExecutor(2) as parsers:
    characters = sum(parsers.map(check, builders.map(build, range(DOCUMENTS))))

print(
    f"python3: 4 threads built, printed and parsed {DOCUMENTS} JSON documents of {RECORDS} records, {characters / 1e6:.0f} million"
    " characters; each came back as it was built."
)
