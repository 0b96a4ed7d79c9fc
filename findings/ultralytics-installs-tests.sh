#!/usr/bin/env bash
# Packages: ultralytics==8.4.130.
# Guess, written down before running: the wheel installs one top-level package, ultralytics.
# What happens: it also installs its own test-suite as the top-level package 'tests'. A project whose tests folder has
# no __init__.py can then no longer import its own helpers from it: an installed package wins over a folder without
# __init__.py, even one earlier on the path. Releases as new as 8.4.190 no longer do so.
# Seen:
#   before: tests has helpers.py
#   after: tests has no helpers.py, but ultralytics' test_python.py
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
mkdir -p "$folder/project/tests"
touch "$folder/project/tests/helpers.py"
cd "$folder/project"
cat > look.py <<'EOF'
from importlib.util import find_spec
from pathlib import Path

names = {file.name for place in find_spec("tests").submodule_search_locations for file in Path(place).iterdir()}
print("own" if "helpers.py" in names else "", "ultralytics" if "test_python.py" in names else "")
EOF
before=$("$python" look.py)
"$python" -m uv pip install --quiet --python "$python" --no-deps ultralytics==8.4.130
after=$("$python" look.py)
[ "$before" = "own " ] && echo "before: tests has helpers.py"
[ "$after" = " ultralytics" ] && echo "after: tests has no helpers.py, but ultralytics' test_python.py"
