#!/usr/bin/env bash
# Packages: torchvision==0.29.2, torch==2.15.0.
# Guess, written down before running: v2.Resize rounds boxes of whole numbers to the nearest pixel.
# What happens: boxes given as whole numbers, as those of Pascal VOC and of many COCO files are, stay whole numbers, and
# every side is cut towards 0: all boxes move up and left, by half a pixel on average, without a word. For small objects
# that is much. Given as floats, the same boxes keep their decimals.
# Seen, for 1000 objects of 4 to 20 pixels, 1920 x 1080 made 640 x 360:
#   whole numbers: IoU 0.68 with the exact boxes on average
#   floats: IoU 1.00 with the exact boxes on average
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" torchvision==0.29.2 torch==2.15.0
cd "$folder"
"$python" - <<'EOF'
import torch
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2

random = torch.Generator().manual_seed(0)
corners = torch.stack([torch.randint(0, most, (1000,), generator=random) for most in (1900, 1060)], 1)
boxes = torch.cat([corners, corners + torch.randint(4, 21, (1000, 2), generator=random)], 1)
resize = v2.Resize((360, 640))
seen = {}
for name, given in (("whole numbers", boxes), ("floats", boxes.double())):
    out = resize(tv_tensors.BoundingBoxes(given, format="XYXY", canvas_size=(1080, 1920)))
    seen[name] = float(box_iou(out.double(), boxes.double() / 3).diagonal().mean())
    print(f"{name}: IoU {seen[name]:.2f} with the exact boxes on average")
assert seen["whole numbers"] < 0.8 and seen["floats"] > 0.999
EOF
