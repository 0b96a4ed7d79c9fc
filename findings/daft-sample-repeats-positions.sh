#!/usr/bin/env bash
# Packages: daft==0.7.26, pyarrow==25.0.1.
# Guess, written down before running: sample(fraction, seed) of a dataset of several Parquet files takes other positions
# in each file.
# What happens: with a seed, every file gives the rows of the same positions. A sample of frames stored as one file a
# camera, or a video, holds the same moments of all of them, and none of the other moments. Without a seed the files
# differ.
# Seen, for half of the rows of 4 files of 20 rows:
#   with a seed: 10 positions, each of them from 4 files
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" daft==0.7.26 pyarrow==25.0.1
cd "$folder"
export DO_NOT_TRACK=true DAFT_PROGRESS_BAR=0
"$python" - <<'EOF'
from collections import Counter

import daft
import pyarrow as pa
import pyarrow.parquet as pq

files = [f"camera{i}.parquet" for i in range(4)]
for name in files:
    pq.write_table(pa.table({"frame": list(range(20))}), name)
for name, seed in (("with a seed", 1), ("without", None)):
    drawn = Counter(daft.read_parquet(files).sample(fraction=0.5, seed=seed).to_pydict()["frame"])
    if seed:
        print(f"{name}: {len(drawn)} positions, each of them from {min(drawn.values())} files")
        assert len(drawn) == 10 and set(drawn.values()) == {4}
    else:
        assert len(drawn) > 10, drawn
EOF
