#!/usr/bin/env bash
# Packages: ray==2.60.0.
# Guess, written down before running: ray.init(include_dashboard=False), with Ray's report of its use switched off too,
# starts no process of the dashboard.
# What happens: the dashboard's main process and its agent are started all the same, as Python processes of about
# 100 MB each; only the web page is missing. The agent runs on every node, with a second one for environments. So a
# node that works on nothing costs some seconds of a processor before the first task, and tests that start clusters of
# several nodes are slow on small machines.
# Seen:
#   dashboard.py: 1
#   ray::DashboardAgent: 1
#   ray::RuntimeEnvAgent: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" ray==2.60.0
cd "$folder"
export RAY_USAGE_STATS_ENABLED=0
"$python" - <<'EOF'
import logging
import os
from pathlib import Path

import ray

ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
assert ray.get(ray.remote(lambda: 1).remote()) == 1
parents, lines = {}, {}
for place in Path("/proc").glob("[0-9]*"):
    try:
        parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        lines[int(place.name)] = (place / "cmdline").read_text()
    except OSError:  # it has ended
        continue
ours = {os.getpid()}
while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
    ours |= more
found = {}
for name in ("dashboard.py", "ray::DashboardAgent", "ray::RuntimeEnvAgent"):
    found[name] = sum(name in lines[pid] for pid in ours)
    print(f"{name}: {found[name]}")
ray.shutdown()
assert set(found.values()) == {1}, found
EOF
