#!/usr/bin/env bash
# Packages: litdata==0.2.76, torch==2.15.0, numpy==2.1.3.
# Guess, written down before running: a StreamingDataset with shuffle=True in torch's DataLoader comes in another order
# in every epoch, with worker processes too.
# What happens: with worker processes that are started anew for each epoch, every epoch has the order of the first, so
# that the same images make up the same batches to the end of the training. The dataset counts its epochs itself, and
# the count is lost with the processes. Nothing is said. Without workers, with persistent ones, or with litdata's own
# StreamingDataLoader the orders differ.
# Seen, in 3 epochs:
#   DataLoader without workers: 3 orders
#   DataLoader with 2 workers: 1 order
#   DataLoader with 2 persistent workers: 3 orders
#   StreamingDataLoader with 2 workers: 3 orders
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" litdata==0.2.76 torch==2.15.0 numpy==2.1.3
cd "$folder"
export TMPDIR="$folder" DATA_OPTIMIZER_CACHE_FOLDER="$folder/chunks" DATA_OPTIMIZER_DATA_CACHE_FOLDER="$folder/data"
cat > orders.py <<'EOF'
import contextlib
import os

import litdata
from torch.utils.data import DataLoader


def image(number):
    return {"number": number}


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        litdata.optimize(image, list(range(100)), "images", num_workers=1, chunk_size=10, start_method="fork")
    for name, kind, options, expected in (
        ("DataLoader without workers", DataLoader, {}, 3),
        ("DataLoader with 2 workers", DataLoader, {"num_workers": 2}, 1),
        ("DataLoader with 2 persistent workers", DataLoader, {"num_workers": 2, "persistent_workers": True}, 3),
        ("StreamingDataLoader with 2 workers", litdata.StreamingDataLoader, {"num_workers": 2}, 3),
    ):
        loader = kind(litdata.StreamingDataset("images", shuffle=True), batch_size=10, **options)
        epochs = [[number for batch in loader for number in batch["number"].tolist()] for _ in range(3)]
        orders = len({tuple(epoch) for epoch in epochs})
        print(f"{name}: {orders} order{'s' * (orders > 1)}", flush=True)
        assert orders == expected and all(sorted(epoch) == list(range(100)) for epoch in epochs)
EOF
"$python" orders.py
