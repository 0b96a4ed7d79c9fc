#!/usr/bin/env bash
# Packages: duckdb==2.0.0.
# Guess, written down before running: where the first rows of a JSON file have whole numbers and later ones decimals,
# DuckDB raises an error that names sample_size.
# What happens: the first 20480 rows set the types. Later decimals are rounded to whole numbers, without a word: of
# one list of boxes, whole pixels first, the last box and its score are altered. A key that is missing in these rows
# does raise the error. With sample_size=-1 all rows are looked at, and the values are kept.
# Seen:
#   last of 20481 rows: [1, 2, 30, 40], score 0
#   sample_size=-1: [0.6, 2.4, 30.4, 39.5], score 0.4
#   a key of the last row alone: InvalidInputException
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" duckdb==2.0.0
cd "$folder"
"$python" - <<'EOF'
import json

import duckdb

drawn = [{"image_id": i, "bbox": [10, 20, 30, 40], "score": 1} for i in range(20480)]
found = {"image_id": 20480, "bbox": [0.6, 2.4, 30.4, 39.5], "score": 0.4}
for name, last in (("boxes.json", found), ("crowd.json", found | {"iscrowd": 0})):
    with open(name, "w") as file:
        json.dump([*drawn, last], file)

def last_of(source):
    return duckdb.execute(f"SELECT bbox, score FROM {source} WHERE image_id = 20480").fetchone()

alone, whole = last_of("'boxes.json'"), last_of("read_json('boxes.json', sample_size=-1)")
print(f"last of 20481 rows: {alone[0]}, score {alone[1]}")
print(f"sample_size=-1: {whole[0]}, score {whole[1]}")
assert alone == ([1, 2, 30, 40], 0) and whole == (found["bbox"], found["score"])
try:
    raise SystemExit(last_of("'crowd.json'"))
except duckdb.InvalidInputException:
    print("a key of the last row alone: InvalidInputException")
EOF
