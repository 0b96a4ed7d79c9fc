#!/usr/bin/env bash
# Packages: sahi==0.12.8, pillow==13.0.0.
# Guess, written down before running: reading a COCO file and writing it again, or cutting it into slices, keeps iscrowd.
# What happens: both write iscrowd 0 for every annotation, without a word. A region full of people becomes one person
# that a detector must find in one piece, in each slice anew; whatever it finds in there counts as false.
# Seen:
#   given: 1 crowd of 2 annotations
#   read and written: 0 crowds of 2 annotations
#   sliced: 0 crowds of 5 annotations
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" sahi==0.12.8 pillow==13.0.0
cd "$folder"
"$python" - <<'EOF'
import json
import logging

from PIL import Image
from sahi.slicing import slice_coco
from sahi.utils.coco import Coco

logging.disable()
Image.new("RGB", (512, 512)).save("street.png")
boxes = [([40, 40, 60, 90], 0), ([100, 200, 300, 100], 1)]
annotations = [
    {"id": at, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
    for at, (box, crowd) in enumerate(boxes, start=1)]
given = {"images": [{"id": 1, "file_name": "street.png", "width": 512, "height": 512}],
         "categories": [{"id": 1, "name": "person"}], "annotations": annotations}
with open("truth.json", "w") as file:
    json.dump(given, file)
read = Coco.from_coco_dict_or_path("truth.json").json
sliced, _ = slice_coco("truth.json", ".", output_coco_annotation_file_name="sliced", output_dir="slices",
                       slice_height=256, slice_width=256, overlap_height_ratio=0, overlap_width_ratio=0, verbose=False)
for name, coco in (("given", given), ("read and written", read), ("sliced", sliced)):
    crowds = [each["iscrowd"] for each in coco["annotations"]]
    print(f"{name}: {sum(crowds)} crowd{'s' * (sum(crowds) != 1)} of {len(crowds)} annotations")
    assert (sum(crowds) == 1) == (name == "given") and len(crowds) > 1
EOF
