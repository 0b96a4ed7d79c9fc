#!/usr/bin/env bash
# Packages: fiftyone==1.22.0, graphql-core==3.3.2.
# Guess, written down before running: the pinned fiftyone can be imported with every graphql-core that its
# requirements admit.
# What happens: an installer that takes the newest admitted packages takes graphql-core 3.3, and 'import fiftyone'
# raises ImportError in strawberry-graphql. fiftyone 1.22.1 admits 3.2 only.
# Seen:
#   import fiftyone: ImportError: cannot import name 'ExecutionContext' from 'graphql.execution'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export FIFTYONE_DO_NOT_TRACK=true
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" strawberry-graphql==0.316.0 fiftyone==1.22.0 graphql-core==3.3.2
cd "$folder"
"$python" - <<'EOF'
try:
    import fiftyone
except ImportError as error:
    print(f"import fiftyone: ImportError: {str(error).partition(' (')[0]}")
    assert "ExecutionContext" in str(error)
else:
    raise SystemExit("fiftyone 1.22.0 can be imported now")
EOF
