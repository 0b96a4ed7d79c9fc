#!/usr/bin/env bash
# Packages: decord2==3.4.0, av==18.1.0, opencv-python-headless==5.0.0.93, imageio-ffmpeg==0.8.1, numpy==2.2.6.
# Guess, written down before running: of a clip that was cut without encoding it anew, len() of decord2's VideoReader is
# the number of frames that OpenCV and PyAV read.
# What happens: the file still holds the frames from the key frame to the cut, and says that they are not shown. decord2
# skips them, but counts them, and fills up with copies of the last frame: a detector sees the end of the clip again and
# again, and a track stands still. The frames before are those of the other two.
# Seen, for a clip of 60 frames cut at the 15th:
#   PyAV: 45 frames, 15 to 59
#   OpenCV: 45 frames, 15 to 59
#   decord2: 60 frames, 15 to 59, the last one 16 times
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python="$folder/venv/bin/python"
"$python" -m pip install --quiet uv
"$python" -m uv pip install --quiet --python "$python" \
    decord2==3.4.0 av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.8.1 numpy==2.2.6
cd "$folder"
"$python" - <<'EOF'
import subprocess

import av
import cv2
import decord
import imageio_ffmpeg
import numpy as np

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
frames = np.zeros((60, 96, 128, 3), np.uint8)
for number, frame in enumerate(frames):  # its number in six stripes, black for 0 and white for 1
    for bit in range(6):
        frame[:, 20 * bit + 4 : 20 * bit + 20] = 255 * (number >> bit & 1)
subprocess.run([*ffmpeg, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "128x96", "-r", "25", "-i", "-",
                "-c:v", "libx264", "-g", "50", "-pix_fmt", "yuv420p", "whole.mp4"], input=frames.tobytes(), check=True)
subprocess.run([*ffmpeg, "-ss", "0.6", "-i", "whole.mp4", "-c", "copy", "cut.mp4"], check=True)


def of_opencv():
    video = cv2.VideoCapture("cut.mp4")
    while (read := video.read())[0]:
        yield read[1]


numbers = {}
with av.open("cut.mp4") as video:
    for name, read in (("PyAV", (each.to_ndarray(format="rgb24") for each in video.decode(video=0))),
                       ("OpenCV", of_opencv()),
                       ("decord2", (each.asnumpy() for each in decord.VideoReader("cut.mp4")))):
        numbers[name] = [sum(1 << bit for bit in range(6) if frame[48, 20 * bit + 12].mean() > 127) for frame in read]
shown = list(range(15, 60))
for name, seen in numbers.items():
    more = f", the last one {seen.count(59)} times" * (seen.count(59) > 1)
    print(f"{name}: {len(seen)} frames, {seen[0]} to {seen[-1]}{more}")
    assert seen == shown + [59] * (15 if name == "decord2" else 0)
EOF
