"""Draw a handwritten 8 × 8 scan as a stroke of paint on a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Alpha = npt.NDArray[np.float32]

BRIGHT = ((232, 242, 245), (70, 214, 250), (196, 232, 160), (250, 212, 150), (176, 168, 252))  # BGR
DARK = ((32, 28, 28), (96, 44, 22), (34, 22, 116), (48, 72, 20), (92, 30, 84))
OPACITY = (0.6, 0.97)  # thin wash to solid paint
MUCH_BRIGHTER = 0.45  # mean luminance in [0, 1] from which dark ink is read better
AGAINST = 0.12  # how often the less readable family of inks is taken where both can be read
BETWEEN = (0.3, 0.6)  # mean luminances where both can be read
RIM = 0.45  # how dark or bright the thin rim around a stroke is


def stroke(scan: npt.NDArray[np.float64], height: float, degrees: float, slant: float) -> Alpha:
    """Return how much ink lies on each pixel: an enlarged, slanted, rotated scan, cut to its ink.

    Args:
        scan: (8, 8) ink in [0, 16], as in scikit-learn's digits.
        height: Height in pixels of the eight rows, before the rotation.
        degrees: Rotation, anticlockwise.
        slant: Shift to the right per pixel upwards.

    Returns:
        (rows, columns) in [0, 1]; the outermost rows and columns hold ink of at least one half.
    """
    scale = height / 8
    side = int(np.ceil(height * 1.7))
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1, -slant], [0, 1]])
    middle = np.full(2, side / 2 - 0.5)
    matrix = np.column_stack([linear, middle - linear @ np.full(2, 3.5)])
    padded = cv2.warpAffine(scan.astype(np.float32) / 16, matrix, (side, side), flags=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(padded, (0, 0), scale * 0.28)
    edge = max(0.06, 0.5 / height)  # half the width of the soft edge, in ink: about a pixel
    ramp = np.clip((smooth - 0.47 + edge) / (2 * edge), 0, 1)
    alpha = ramp * ramp * (3 - 2 * ramp)
    rows, columns = np.flatnonzero((alpha >= 0.5).any(1)), np.flatnonzero((alpha >= 0.5).any(0))
    return np.asarray(alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], dtype=np.float32)


def paint(canvas: Image, alpha: Alpha, left: int, top: int, rng: np.random.Generator) -> None:
    """Paint a stroke on a picture, in place, in an ink that can be read there.

    The ground shows through a little, so that paint looks painted on, and a thin rim of the opposite
    brightness lifts it off a busy photograph.

    Args:
        canvas: (height, width, 3) BGR.
        alpha: The stroke, see :func:`stroke`.
        left: Column of its first pixel.
        top: Row of its first pixel.
        rng: Chooses ink and opacity.
    """
    border = 3
    alpha = cv2.copyMakeBorder(alpha, border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    y, x = max(top - border, 0), max(left - border, 0)
    alpha = alpha[y - top + border :, x - left + border :][: len(canvas) - y, : canvas.shape[1] - x]
    patch = canvas[y : y + alpha.shape[0], x : x + alpha.shape[1]].astype(np.float32)
    light = patch.mean(axis=2, keepdims=True) / 255
    under = float((light[..., 0] * alpha).sum() / alpha.sum())
    dark = under > MUCH_BRIGHTER
    if BETWEEN[0] < under < BETWEEN[1] and rng.random() < AGAINST:
        dark = not dark
    family = DARK if dark else BRIGHT
    colour = np.array(family[rng.integers(len(family))], dtype=np.float32)
    opacity = rng.uniform(*OPACITY)
    rim = cv2.GaussianBlur(alpha, (0, 0), 1.4)[..., None] * RIM * opacity
    patch += ((255.0 if dark else 0.0) - patch) * rim * (1 - alpha[..., None])
    grain = colour * (1 + 0.5 * (light - under))
    patch += (grain - patch) * alpha[..., None] * opacity
    canvas[y : y + alpha.shape[0], x : x + alpha.shape[1]] = np.clip(patch, 0, 255).astype(np.uint8)
