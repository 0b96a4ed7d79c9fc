#!/usr/bin/env bash
# Packages: pyarrow==26.0.1.
# Guess, written down before running: a filter given to read_table keeps the same rows as the same filter applied to
# the table once it is read.
# What happens: Parquet keeps the least and the largest value of a column without NaN. Where all other values of a row
# group are equal, a filter for 'not equal' skips the whole row group, and the rows with NaN are lost. The negation of
# a comparison loses them too.
# Seen:
#   iou != 0.0: 0 rows from the file, 1 in memory
#   not (iou <= 0.0): 0 rows from the file, 1 in memory
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" pyarrow==26.0.1
cd "$folder"
"$python" - <<'EOF'
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

table = pa.table({"iou": [0.0, float("nan"), 0.0, 0.0]})
pq.write_table(table, "found.parquet")
for text, wanted in (("iou != 0.0", pc.field("iou") != 0.0), ("not (iou <= 0.0)", ~(pc.field("iou") <= 0.0))):
    read, kept = pq.read_table("found.parquet", filters=wanted).num_rows, table.filter(wanted).num_rows
    print(f"{text}: {read} rows from the file, {kept} in memory")
    assert (read, kept) == (0, 1)
EOF
