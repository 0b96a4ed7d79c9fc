#!/usr/bin/env bash
# Packages: daft==0.7.26, pyarrow==25.0.1, polars==2.1.0.
# Guess, written down before running: where the first Parquet shard has whole numbers as scores and the second decimals,
# reading them together raises an error in daft, as it does in pyarrow and polars.
# What happens: daft takes the types of the first file and cuts the decimals of all others: 0.9 and 0.4 are read as 0.
# A column that the first file lacks is left out. Nothing is said. In the other order all values are kept.
# Seen, for a shard with the scores 1 and 0 and one with 0.9 and 0.4 and a column iscrowd:
#   pyarrow: ArrowInvalid
#   polars: SchemaError
#   daft: image, score 1, 0, 0, 0
#   daft, the other first: image, score, iscrowd 0.9, 0.4, 1.0, 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" daft==0.7.26 pyarrow==25.0.1 polars==2.1.0
cd "$folder"
export DO_NOT_TRACK=true DAFT_PROGRESS_BAR=0
"$python" - <<'EOF'
import daft
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

whole, decimals = files = ["0.parquet", "1.parquet"]
pq.write_table(pa.table({"image": ["a", "b"], "score": [1, 0]}), whole)
pq.write_table(pa.table({"image": ["c", "d"], "score": [0.9, 0.4], "iscrowd": [1, 0]}), decimals)
for name, read, error in (("pyarrow", pq.read_table, pa.ArrowInvalid),
                          ("polars", pl.read_parquet, pl.exceptions.SchemaError)):
    try:
        raise SystemExit(f"{name}: {read(files)}")
    except error:
        print(f"{name}: {error.__name__}")
seen = []
for name, order in (("daft", files), ("daft, the other first", files[::-1])):
    columns = daft.read_parquet(order).to_pydict()
    print(f"{name}: {', '.join(columns)} {', '.join(map(str, columns['score']))}")
    seen.append((list(columns), columns["score"]))
assert seen == [(["image", "score"], [1, 0, 0, 0]), (["image", "score", "iscrowd"], [0.9, 0.4, 1.0, 0.0])]
EOF
