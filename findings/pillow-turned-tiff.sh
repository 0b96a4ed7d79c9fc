#!/usr/bin/env bash
# Packages: pillow==13.0.0.
# Guess, written down before running: an opened photo has the size that is stored, whatever its type; width and height
# are exchanged by whoever reads its EXIF orientation.
# What happens: of a TIFF, Pillow says the upright size at once and turns the pixels when it loads them, while getexif()
# still gives the orientation until then. Who exchanges the sides by it, exchanges them back.
# Seen:
#   jpeg (64, 40) orientation 6 after load (64, 40) 6
#   png (64, 40) orientation 6 after load (64, 40) 6
#   webp (64, 40) orientation 6 after load (64, 40) 6
#   tiff (40, 64) orientation 6 after load (40, 64) None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" pillow==13.0.0
cd "$folder"
"$python" - <<'EOF'
from PIL import Image

exif = Image.Exif()
exif[274] = 6
for kind in ("jpeg", "png", "webp", "tiff"):
    Image.new("RGB", (64, 40)).save(f"photo.{kind}", exif=exif)
    with Image.open(f"photo.{kind}") as photo:
        size, orientation = photo.size, photo.getexif().get(274)
        photo.load()
        print(kind, size, "orientation", orientation, "after load", photo.size, photo.getexif().get(274))
        assert (size == (40, 64)) == (kind == "tiff") and orientation == 6
EOF
