#!/usr/bin/env bash
# Packages: label-studio-sdk==2.1.2.
# Guess, written down before running: of a task with annotations by two annotators, the converter writes the picture
# once, with the boxes of both, into COCO and YOLO files alike.
# What happens: a COCO file lists the picture twice, under two ids, each with the boxes of one annotator: what only one
# of them saw is background in the other copy. A YOLO label file has the boxes of the last annotator alone. Nothing is
# said.
# Seen, for a picture in which the first annotator drew 2 boxes and the second 1:
#   COCO: 2 pictures with 1 file name, 2 and 1 boxes
#   YOLO: 1 label file, 1 box
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" label-studio-sdk==2.1.2
cd "$folder"
"$python" - <<'EOF'
import json
import logging
from collections import Counter
from pathlib import Path

from label_studio_sdk.converter import Converter

logging.disable()
sheet = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="car"/></RectangleLabels></View>"""


def rectangle(left):
    return {"id": str(left), "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": 400,
            "original_height": 200, "value": {"x": left, "y": 10, "width": 20, "height": 20, "rotation": 0,
                                              "rectanglelabels": ["car"]}}


annotations = [{"id": 1, "completed_by": {"id": 1, "email": "a@example.com"}, "result": [rectangle(10), rectangle(50)]},
               {"id": 2, "completed_by": {"id": 2, "email": "b@example.com"}, "result": [rectangle(11)]}]
Path("tasks.json").write_text(json.dumps(
    [{"id": 1, "data": {"image": "/data/street.jpg"}, "annotations": annotations}]))
for kind in ("coco", "yolo"):
    getattr(Converter(sheet, ".", download_resources=False), f"convert_to_{kind}")("tasks.json", kind, is_dir=False)
coco = json.loads(Path("coco/result.json").read_text())
boxes = sorted(Counter(each["image_id"] for each in coco["annotations"]).values(), reverse=True)
names = {each["file_name"] for each in coco["images"]}
print(f"COCO: {len(coco['images'])} pictures with {len(names)} file name, {' and '.join(map(str, boxes))} boxes")
labels = [file.read_text().splitlines() for file in Path("yolo/labels").glob("*.txt")]
print(f"YOLO: {len(labels)} label file, {len(labels[0])} box")
assert len(coco["images"]) == 2 and len(names) == 1 and boxes == [2, 1]
assert len(labels) == 1 and len(labels[0]) == 1
EOF
