#!/usr/bin/env bash
# Packages: scikit-learn==1.5.2, scikit-learn==1.6.1, numpy==2.2.6.
# Guess, written down before running: with a scoring function, cv_results_ of RidgeCV holds the held-out predictions
# on the scale of the target.
# What happens: before 1.6 they are centred and multiplied by the square root of the sample weight, so whoever uses
# them as out-of-fold predictions gets wrong ones without a message. From 1.6 on they are what one expects.
# Seen:
#   scikit-learn 1.5.2: held-out predictions differ from the truth by up to 16.37
#   scikit-learn 1.6.1: held-out predictions differ from the truth by up to 0.27
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
cd "$folder"
"$python" -m uv pip install --quiet --python "$python" scikit-learn==1.5.2 numpy==2.2.6
"$python" - <<'EOF'
import numpy as np, sklearn
from sklearn.linear_model import RidgeCV

rng = np.random.default_rng(0)
features = rng.normal(size=(200, 3))
truth = 5 + features @ [1, 2, 3] + 0.1 * rng.normal(size=200)
weight = rng.integers(1, 10, 200).astype(float)
model = RidgeCV(alphas=[0.001], scoring="neg_mean_squared_error", store_cv_results=True)
held_out = model.fit(features, truth, sample_weight=weight).cv_results_[:, 0]
distance = np.abs(held_out - truth).max()
print(f"scikit-learn {sklearn.__version__}: held-out predictions differ from the truth by up to {distance:.2f}")
assert distance > 5
EOF
"$python" -m uv pip install --quiet --python "$python" scikit-learn==1.6.1 numpy==2.2.6
"$python" - <<'EOF'
import numpy as np, sklearn
from sklearn.linear_model import RidgeCV

rng = np.random.default_rng(0)
features = rng.normal(size=(200, 3))
truth = 5 + features @ [1, 2, 3] + 0.1 * rng.normal(size=200)
weight = rng.integers(1, 10, 200).astype(float)
model = RidgeCV(alphas=[0.001], scoring="neg_mean_squared_error", store_cv_results=True)
held_out = model.fit(features, truth, sample_weight=weight).cv_results_[:, 0]
distance = np.abs(held_out - truth).max()
print(f"scikit-learn {sklearn.__version__}: held-out predictions differ from the truth by up to {distance:.2f}")
assert distance < 1
EOF
