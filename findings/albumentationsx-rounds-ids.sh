#!/usr/bin/env bash
# Packages: albumentationsx==2.5.1, opencv-python-headless==4.14.0.94, torch==2.15.0.
# Guess, written down before running: the ids of the annotations, passed as a label field beside the boxes, come back
# exact.
# What happens: a label field of numbers comes back as floats of float32 precision. Ids above 16777216, such as those of
# COCO's crowds, are changed without a word, and two neighbours become one id. As text they come back exact.
# Seen:
#   16777216 -> 16777216.0, 16777217 -> 16777216.0, 1768441 -> 1768441.0, 900100581904 -> 900100587520.0
#   as text: exact
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" \
    albumentationsx==2.5.1 opencv-python-headless==4.14.0.94 torch==2.15.0
cd "$folder"
export NO_ALBUMENTATIONS_UPDATE=1
"$python" - <<'EOF'
import albumentations as A
import numpy as np

ids = [16777216, 16777217, 1768441, 900100581904]
flip = A.Compose([A.HorizontalFlip(p=1)], bbox_params=A.BboxParams(coord_format="coco", label_fields=["ids"]))
image, boxes = np.zeros((480, 640, 3), np.uint8), [[10, 20, 30, 40]] * len(ids)
numbers = flip(image=image, bboxes=boxes, ids=ids)["ids"]
texts = flip(image=image, bboxes=boxes, ids=[str(i) for i in ids])["ids"]
print(", ".join(f"{old} -> {new}" for old, new in zip(ids, numbers)))
print("as text:", "exact" if [int(i) for i in texts] == ids else texts)
assert numbers[0] == numbers[1] and numbers[2] == ids[2] and numbers[3] != ids[3]
assert [int(i) for i in texts] == ids
EOF
