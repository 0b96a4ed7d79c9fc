"""Frames of one street: a lamp post and a sign are taken for a cross in each of them; real crosses to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .scenes import Tables, scene

WIDTH, HEIGHT, FRAMES = 256, 160, 8
POST, SIGN, SCRIBBLE = (30, 28, 60, 82), (100, 95, 140, 130), (180, 100, 220, 140)
CROSSES = [(110, 20, 131, 41), (140, 20, 161, 41)]


def draw_frames(folder: Path, frames: int = FRAMES) -> None:
    """Write ``0.png`` and so on: each with the post, moved a little, the sign, a scribble of its own, two crosses."""
    rng = np.random.default_rng(0)
    wall = rng.integers(80, 120, (HEIGHT, WIDTH, 3))
    for frame in range(frames):
        picture = Image.fromarray((wall + rng.integers(0, 3, wall.shape)).astype(np.uint8))
        draw, x = ImageDraw.Draw(picture), 30 + frame % 2
        for _ in range(4):
            draw.line([tuple(point) for point in rng.integers((180, 100), (220, 140), (2, 2))], fill=0, width=3)
        draw.rectangle((x + 12, 40, x + 17, 80), fill=(30, 30, 30))
        draw.ellipse((x + 5, 30, x + 24, 45), fill=(220 - 3 * frame, 220, 180))
        draw.polygon([(120, 96), (101, 128), (139, 128)], outline=(200, 40 + 5 * frame, 40), width=5)
        for x0, y0, x1, y1 in CROSSES:
            draw.line((x0, y0, x1 - 1, y1 - 1), fill=(0, 0, 0), width=4)
            draw.line((x1 - 1, y0, x0, y1 - 1), fill=(0, 0, 0), width=4)
        picture.save(folder / f"{frame}.png")


def street(frames: int = FRAMES, *, crosses_found: bool = True) -> Tables:
    """In each frame post and sign (the first one the most confident) and the scribble are taken for a cross."""
    found = [
        row
        for frame in range(frames)
        for row in (
            (f"{frame}.png", "cross", 0.9 - 0.01 * frame, POST),
            (f"{frame}.png", "cross", 0.85 - 0.01 * frame, SIGN),
            (f"{frame}.png", "cross", 0.8, SCRIBBLE),
            *((f"{frame}.png", "cross", 0.95, box) for box in CROSSES * crosses_found),
        )
    ]
    return scene(found, [(f"{frame}.png", "cross", box) for frame in range(frames) for box in CROSSES])
