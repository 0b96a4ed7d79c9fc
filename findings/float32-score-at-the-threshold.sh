#!/usr/bin/env bash
# Packages: pyarrow==26.0.1, polars==2.1.0, duckdb==2.0.0.
# Guess, written down before running: a filter score >= 0.7 on one Parquet file with float32 scores keeps the same rows
# in all three.
# What happens: polars rounds 0.7 to float32 first, so that a score stored as 0.7 passes. pyarrow turns the column into
# float64, where that score is 0.699999988, and drops it. DuckDB does the one with 0.7 in the query, the other with 0.7
# as a parameter. 0.9 behaves like 0.7; at 0.6 and 0.8, which float32 rounds upwards, all keep the same rows.
# Seen:
#   score >= 0.6: polars 4, pyarrow 4, duckdb 4, duckdb with a parameter 4
#   score >= 0.7: polars 3, pyarrow 2, duckdb 3, duckdb with a parameter 2
#   score >= 0.8: polars 2, pyarrow 2, duckdb 2, duckdb with a parameter 2
#   score >= 0.9: polars 1, pyarrow 0, duckdb 1, duckdb with a parameter 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.0
cd "$folder"
"$python" - <<'EOF'
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"score": pa.array([0.6, 0.7, 0.8, 0.9], pa.float32())}), "found.parquet")
query = "SELECT count(*) FROM 'found.parquet' WHERE score >= "
kept = {}
for least in (0.6, 0.7, 0.8, 0.9):
    kept[least] = {
        "polars": pl.scan_parquet("found.parquet").filter(pl.col("score") >= least).collect().height,
        "pyarrow": pq.read_table("found.parquet", filters=[("score", ">=", least)]).num_rows,
        "duckdb": duckdb.execute(query + str(least)).fetchone()[0],
        "duckdb with a parameter": duckdb.execute(query + "?", [least]).fetchone()[0],
    }
    print(f"score >= {least}: " + ", ".join(f"{name} {rows}" for name, rows in kept[least].items()))
assert [list(rows.values()) for rows in kept.values()] == [[4, 4, 4, 4], [3, 2, 3, 2], [2, 2, 2, 2], [1, 0, 1, 0]]
EOF
