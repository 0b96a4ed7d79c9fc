#!/usr/bin/env bash
# Packages: label-studio-sdk==2.1.2.
# Guess, written down before running: of a rectangle that was turned, the converter writes the upright box around it,
# into COCO, YOLO and Pascal VOC files, on pictures that are not square too.
# What happens: for COCO the corners are turned in percent of the sides, so that the box is right on square pictures
# alone: a quarter turn of 100 x 20 pixels gives 80 x 25. For YOLO and Pascal VOC the angle is left out: the box is the
# rectangle as it was before it was turned. Nothing is said.
# Seen, for rectangles of 100 x 20 pixels turned by 90 degrees, which are at 100, 40, 20, 100:
#   200 x 200 pixels: COCO 100, 40, 20, 100, YOLO 120, 40, 100, 20, VOC 120, 40, 100, 20
#   400 x 200 pixels: COCO 80, 40, 40, 50, YOLO 120, 40, 100, 20, VOC 120, 40, 100, 20
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
import re
from pathlib import Path

from label_studio_sdk.converter import Converter

logging.disable()
sheet = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="car"/></RectangleLabels></View>"""


def boxes_of(width, height):
    """The box of one rectangle, as x, y, w, h in pixels, in each kind of file."""
    folder = Path(str(width))
    folder.mkdir()
    # Its first corner is at 120, 40; turned around it, the rectangle covers 100 to 120 and 40 to 140.
    value = {"x": 12000 / width, "y": 4000 / height, "width": 10000 / width, "height": 2000 / height, "rotation": 90,
             "rectanglelabels": ["car"]}
    drawn = {"id": "a", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": width,
             "original_height": height, "value": value}
    task = {"id": 1, "data": {"image": "/data/street.jpg"}, "annotations": [{"id": 1, "result": [drawn]}]}
    (folder / "tasks.json").write_text(json.dumps([task]))
    found = {}
    for kind in ("coco", "yolo", "voc"):
        converter = Converter(sheet, str(folder), download_resources=False)
        getattr(converter, f"convert_to_{kind}")(str(folder / "tasks.json"), str(folder / kind), is_dir=False)
    found["COCO"] = json.loads((folder / "coco" / "result.json").read_text())["annotations"][0]["bbox"]
    x, y, w, h = map(float, next((folder / "yolo" / "labels").glob("*.txt")).read_text().split()[1:])
    found["YOLO"] = (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
    text = next((folder / "voc" / "Annotations").glob("*.xml")).read_text()
    left, top, right, bottom = (int(re.search(f"<{name}>(.*)</", text)[1]) for name in ("xmin", "ymin", "xmax", "ymax"))
    found["VOC"] = left, top, right - left, bottom - top
    return {kind: [round(v) for v in box] for kind, box in found.items()}


before = [120, 40, 100, 20]
for width, expected in ((200, [100, 40, 20, 100]), (400, [80, 40, 40, 50])):
    seen = boxes_of(width, 200)
    print(f"{width} x 200 pixels: " + ", ".join(f"{kind} {', '.join(map(str, box))}" for kind, box in seen.items()))
    assert seen == {"COCO": expected, "YOLO": before, "VOC": before}
EOF
