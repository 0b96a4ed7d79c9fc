#!/usr/bin/env bash
# Packages: kornia==0.9.0, torch==2.15.0.
# Guess, written down before running: AugmentationSequential with bbox_xyxy moves a box so that it fits its object to
# the pixel, after flips and after a resize to twice the size.
# What happens: a box is moved as if its sides were centres of pixels. After a horizontal flip it lies one pixel too far
# to the left, after a vertical one a pixel too high, and after a resize it is scaled by (width - 1), not by the width.
# Of an object of 8 x 8 pixels the box has an IoU of 0.62 with it after both flips. Crops and padding are exact.
# Seen, for an object at 20, 30, 28, 38 of a picture of 160 x 100:
#   RandomHorizontalFlip: object at 132, 30, 140, 38, box 131.0, 30.0, 139.0, 38.0
#   RandomVerticalFlip: object at 20, 62, 28, 70, box 20.0, 61.0, 28.0, 69.0
#   Resize: object at 40, 60, 56, 76, box 40.1, 60.3, 56.2, 76.4
#   CenterCrop: object at 10, 20, 18, 28, box 10.0, 20.0, 18.0, 28.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" kornia==0.9.0 torch==2.15.0
cd "$folder"
"$python" - <<'EOF'
import kornia.augmentation as K
import torch

image = torch.zeros(1, 1, 100, 160)
image[..., 30:38, 20:28] = 1
box = torch.tensor([[[20.0, 30.0, 28.0, 38.0]]])
for step, away in ((K.RandomHorizontalFlip(p=1), [-1, 0, -1, 0]), (K.RandomVerticalFlip(p=1), [0, -1, 0, -1]),
                   (K.Resize((200, 320)), None), (K.CenterCrop((80, 140)), [0, 0, 0, 0])):
    moved, found = K.AugmentationSequential(step, data_keys=["input", "bbox_xyxy"])(image, box.clone())
    rows, columns = torch.where(moved[0, 0] > 0.5)
    place = [int(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
    values = found.flatten().tolist()
    print(f"{type(step).__name__}: object at {', '.join(map(str, place))}, box {', '.join(f'{v:.1f}' for v in values)}")
    difference = [value - at for value, at in zip(values, place)]
    assert difference == away if away else 0.1 < max(difference) < 1
EOF
