#!/usr/bin/env bash
# Packages: keras==3.15.1, torch==2.15.0.
# Guess, written down before running: with boxes given beside the image, RandomCrop moves them with it, so that a box
# fits its object as exactly as after RandomFlip.
# What happens: the two offsets of the crop are exchanged for the boxes. What the image loses at the top is taken from
# a box's left and right, what it loses at the left from top and bottom. Only a crop that begins as far from the left as
# from the top gives true boxes. Nothing is said, and the boxes stay inside of the crop often enough.
# Seen, for an object at 60, 40, 100, 60 of a picture of 160 x 100, in crops of 120 x 80:
#   object at 38, 40, 78, 60, box 60, 18, 100, 38
#   object at 37, 23, 77, 43, box 43, 17, 83, 37
#   object at 36, 29, 76, 49, box 49, 16, 89, 36
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" keras==3.15.1 torch==2.15.0
cd "$folder"
export KERAS_BACKEND=torch KERAS_HOME="$folder/keras"
"$python" - <<'EOF'
import numpy as np
from keras import ops
from keras.layers import RandomCrop

image = np.zeros((100, 160, 3), np.float32)
image[40:60, 60:100] = 1
crop = RandomCrop(80, 120, seed=3, bounding_box_format="xyxy")
for _ in range(3):
    boxes = {"boxes": np.array([[60, 40, 100, 60]], np.float32), "labels": np.array([1])}
    out = crop({"images": image, "bounding_boxes": boxes}, training=True)
    rows, columns = np.nonzero(ops.convert_to_numpy(out["images"])[..., 0])
    place = [int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
    box = [int(v) for v in ops.convert_to_numpy(out["bounding_boxes"]["boxes"])[0]]
    print(f"object at {', '.join(map(str, place))}, box {', '.join(map(str, box))}")
    left, top = 60 - place[0], 40 - place[1]
    assert left != top and box == [60 - top, 40 - left, 100 - top, 60 - left]
EOF
