#!/usr/bin/env bash
# Packages: datasets==5.2.0, pillow==13.0.0.
# Guess, written down before running: load_dataset("imagefolder") raises a ValueError if an image has no row in
# metadata.jsonl.
# What happens: the image is not loaded, and nothing is said. A detection dataset that lists only the images with
# objects trains without its backgrounds. Without the metadata file all images are loaded; with a row that has empty
# lists the image stays.
# Seen:
#   4 images, no metadata: 4 loaded
#   4 images, rows for 2: 2 loaded
#   4 images, 2 of the rows with empty lists: 4 loaded
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" datasets==5.2.0 pillow==13.0.0
cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$python" - <<'EOF'
import json
from pathlib import Path

from datasets import load_dataset
from PIL import Image

row = {"objects": {"bbox": [[1.5, 2.0, 3.0, 4.0]], "categories": [0]}}
empty = {"objects": {"bbox": [], "categories": []}}
for name, rows, expected in (("no metadata", [], 4), ("rows for 2", [row, row], 2),
                             ("2 of the rows with empty lists", [row, row, empty, empty], 4)):
    images = Path(name) / "train"
    images.mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (32, 32), (40 * i, 0, 0)).save(images / f"{i}.png")
    if rows:
        lines = [json.dumps({"file_name": f"{i}.png"} | row) for i, row in enumerate(rows)]
        (images / "metadata.jsonl").write_text("\n".join(lines))
    loaded = load_dataset("imagefolder", data_dir=name)["train"].num_rows
    print(f"4 images, {name}: {loaded} loaded")
    assert loaded == expected
EOF
