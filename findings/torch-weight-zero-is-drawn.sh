#!/usr/bin/env bash
# Packages: torch==2.15.0, numpy==2.4.6.
# Guess, written down before running: a draw without replacement of more images than have a weight above 0 raises an
# error, as it does in NumPy: an image of weight 0 is never drawn.
# What happens: torch.multinomial fills up with images of weight 0, without a word, and so does WeightedRandomSampler.
# Only where all weights are 0 does it raise.
# Seen:
#   numpy: Fewer non-zero entries in p than size
#   torch: 150 images drawn, 50 of them of weight 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" torch==2.15.0 numpy==2.4.6
cd "$folder"
"$python" - <<'EOF'
import numpy as np
from torch.utils.data import WeightedRandomSampler

weights = [0.0] * 900 + [1.0] * 100  # 900 images are left out, 100 are wanted
try:
    np.random.default_rng(0).choice(1000, 150, replace=False, p=np.divide(weights, sum(weights)))
    raise SystemExit("numpy draws too")
except ValueError as error:
    print(f"numpy: {error}")
drawn = list(WeightedRandomSampler(weights, num_samples=150, replacement=False))
left_out = sum(weights[i] == 0 for i in drawn)
print(f"torch: {len(drawn)} images drawn, {left_out} of them of weight 0")
assert len(set(drawn)) == 150 and left_out == 50
EOF
