#!/usr/bin/env bash
# Packages: globox==2.9.0, pycocotools==2.0.11.
# Guess, written down before running: globox's COCO evaluator gives the AP of pycocotools, with crowd regions too.
# What happens: without crowds it does. A region marked iscrowd is read as a usual object: the second detection in it
# is a false positive in globox, while pycocotools ignores both.
# Seen:
#   pycocotools: AP50 1.0000
#   globox: AP50 0.8350
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" globox==2.9.0 pycocotools==2.0.11
cd "$folder"
"$python" - <<'EOF'
import contextlib, io, json
from pathlib import Path

from globox import AnnotationSet, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

one, crowd = [10, 10, 20, 20], [50, 50, 20, 20]
truth = {"info": {}, "images": [{"id": 1, "width": 100, "height": 100, "file_name": "1.jpg"}],
         "categories": [{"id": 1, "name": "a"}],
         "annotations": [{"id": i + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 400, "iscrowd": i}
                         for i, box in enumerate((one, crowd))]}
found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score}
         for box, score in ((crowd, 0.95), (crowd, 0.94), (one, 0.9))]
Path("truth.json").write_text(json.dumps(truth))
Path("found.json").write_text(json.dumps(found))
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO("truth.json")
    run = COCOeval(coco, coco.loadRes("found.json"), "bbox")
    run.evaluate(), run.accumulate(), run.summarize()
annotations = AnnotationSet.from_coco(Path("truth.json"))
other = COCOEvaluator(ground_truths=annotations, predictions=annotations.from_results(Path("found.json"))).ap_50()
print(f"pycocotools: AP50 {run.stats[1]:.4f}")
print(f"globox: AP50 {other:.4f}")
assert abs(run.stats[1] - 1) < 1e-9 and other < 0.95
EOF
