#!/usr/bin/env bash
# Packages: hotcoco==1.3.0, pycocotools==2.0.11.
# Guess, written down before running: hotcoco gives the same AP as pycocotools on a file with an annotation of id 0:
# both count its match as a false positive.
# What happens: pycocotools marks 'not matched' with the id 0, so a truth of id 0 is never found. hotcoco does not
# have this fault, so one file gets two different APs from the two tools.
# Seen:
#   pycocotools: AP 0.2525
#   hotcoco: AP 1.0000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" hotcoco==1.3.0 pycocotools==2.0.11
cd "$folder"
"$python" - <<'EOF'
import contextlib, io, json

import hotcoco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[10, 10, 20, 20], [50, 50, 20, 20]]
truth = {"info": {}, "images": [{"id": 1, "width": 100, "height": 100, "file_name": "1.jpg"}],
         "categories": [{"id": 1, "name": "a"}],
         "annotations": [{"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": 400, "iscrowd": 0}
                         for i, box in enumerate(boxes)]}
found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9 - i / 10} for i, box in enumerate(boxes)]
for name, content in (("truth.json", truth), ("found.json", found)):
    with open(name, "w") as file:
        json.dump(content, file)

def ap(library, evaluation):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = library("truth.json")
        run = evaluation(coco, coco.loadRes("found.json"), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    return float(run.stats[0])

old, new = ap(COCO, COCOeval), ap(hotcoco.COCO, hotcoco.COCOeval)
print(f"pycocotools: AP {old:.4f}")
print(f"hotcoco: AP {new:.4f}")
assert old < 0.3 and abs(new - 1) < 1e-9
EOF
