#!/usr/bin/env bash
# Packages: trackers==2.6.1.
# Guess, written down before running: update() gives the rows in the order in which they came, with an id for each.
# What happens: SORT keeps the order; ByteTrack, OC-SORT, BoT-SORT and C-BIoU sort the rows by how they were matched.
# The number of rows is the same, so that ids written back by position, as for the boxes of a model's output or for the
# detections of a FiftyOne frame, go to other objects, without a word. Columns in data move with their rows.
# Seen, for 6 objects on 40 frames, in another order on each:
#   SORTTracker: 0 of 240 ids beside another object
#   ByteTrackTracker: 199 of 240 ids beside another object
#   OCSORTTracker: 182 of 240 ids beside another object
#   BoTSORTTracker: 199 of 240 ids beside another object
#   CBIoUTracker: 199 of 240 ids beside another object
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" trackers==2.6.1
cd "$folder"
"$python" - <<'EOF'
import logging
import warnings

import numpy as np

logging.disable()
warnings.simplefilter("ignore")
import supervision as sv
import trackers

for name in ("SORTTracker", "ByteTrackTracker", "OCSORTTracker", "BoTSORTTracker", "CBIoUTracker"):
    random, tracker, wrong, rows = np.random.default_rng(0), getattr(trackers, name)(), 0, 0
    for frame in range(40):
        objects = random.permutation(6)
        left = 100 * objects + 3 * frame
        boxes = np.stack([left, 0 * left, left + 40, 0 * left + 60], axis=1).astype(float)
        given = sv.Detections(boxes, confidence=random.uniform(0.3, 0.95, 6), data={"object": objects})
        found = tracker.update(given)
        rows += len(found)
        wrong += int((found.data["object"] != objects).sum())
    print(f"{name}: {wrong} of {rows} ids beside another object")
    assert rows == 240 and (wrong == 0 if name == "SORTTracker" else wrong > 100)
EOF
