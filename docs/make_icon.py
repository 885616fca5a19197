"""Draws the project's mark: an axial brain slice in coloured regions, one of them checked.

    python docs/make_icon.py

writes SynthSegPlus.png and SynthSegPlus/Resources/Icons/SynthSegPlus.png, 128 x 128 pixels with a clear background.
Everything is a signed distance drawn on a fine grid and averaged down, so that the edges are smooth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imsave

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (ROOT / "SynthSegPlus.png", ROOT / "SynthSegPlus" / "Resources" / "Icons" / "SynthSegPlus.png")
PIXELS, FINE = 128, 8

# Told apart by the colour-blind (Okabe and Ito, 2008), on a dark outline.
OUTLINE = (0.11, 0.16, 0.24)
CORTEX_LEFT, CORTEX_RIGHT = (0.34, 0.71, 0.91), (0.00, 0.45, 0.70)
WHITE_MATTER = (0.97, 0.97, 0.95)
VENTRICLE = (0.80, 0.47, 0.65)
DEEP_LEFT, DEEP_RIGHT = (0.94, 0.76, 0.26), (0.84, 0.37, 0.00)
PLUS = (0.00, 0.62, 0.45)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x to the right and y upwards, both in [-1, 1]."""
    line = (np.arange(PIXELS * FINE) + 0.5) / (PIXELS * FINE) * 2 - 1
    return np.meshgrid(line, -line)


def _ellipse(x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float, turn: float = 0) -> np.ndarray:
    """About the signed distance to an ellipse turned by `turn` degrees; negative inside."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    u, v = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
    return (np.hypot(u / rx, v / ry) - 1) * min(rx, ry)


def _brain(x: np.ndarray, y: np.ndarray, inset: float = 0.0, folds: float = 0.0) -> np.ndarray:
    """The outline from above: broad behind, with notches between the hemispheres; `folds` waves it like gyri."""
    angle = np.arctan2(x, y)
    radius = 0.80 + 0.085 * np.cos(angle) ** 2 - 0.02 * np.cos(angle) - 0.07 * np.abs(np.sin(angle)) ** 3
    notch = 0.09 * np.exp(-((x / 0.085) ** 2))
    return np.hypot(x * 1.06, y) - (radius - notch - inset + folds * np.cos(11 * angle))


def _plus(x: np.ndarray, y: np.ndarray, cx: float, cy: float, arm: float, half: float) -> np.ndarray:
    u, v = np.abs(x - cx), np.abs(y - cy)
    return np.minimum(np.maximum(u - arm, v - half), np.maximum(u - half, v - arm))


def _paint(image: np.ndarray, inside: np.ndarray, color: tuple[float, float, float]) -> None:
    image[inside, :3] = color
    image[inside, 3] = 1.0


def draw() -> np.ndarray:
    """The mark as uint8 [128, 128, 4] RGBA."""
    x, y = _grid()
    image = np.zeros((*x.shape, 4))
    left, right = x < 0, x >= 0
    _paint(image, _brain(x, y) < 0, OUTLINE)
    cortex = _brain(x, y, inset=0.055) < 0
    _paint(image, cortex & left, CORTEX_LEFT)
    _paint(image, cortex & right, CORTEX_RIGHT)
    _paint(image, (_brain(x, y, inset=0.235, folds=0.032) < 0) & (np.abs(x) > 0.045), WHITE_MATTER)
    _paint(image, cortex & (np.abs(x) < 0.022), OUTLINE)
    for side, color in ((-1, DEEP_LEFT), (1, DEEP_RIGHT)):
        _paint(image, _ellipse(x, y, side * 0.255, -0.03, 0.105, 0.20, side * 20) < 0, color)
        _paint(image, _ellipse(x, y, side * 0.115, 0.20, 0.05, 0.16, -side * 18) < 0, VENTRICLE)
        _paint(image, _ellipse(x, y, side * 0.135, -0.30, 0.05, 0.15, side * 22) < 0, VENTRICLE)
    badge = np.hypot(x - 0.62, y + 0.62)
    image[badge < 0.345] = 0  # a clear ring around the badge
    _paint(image, badge < 0.30, PLUS)
    _paint(image, _plus(x, y, 0.62, -0.62, 0.175, 0.052) < 0, (1.0, 1.0, 1.0))
    return _average(image)


def _average(image: np.ndarray) -> np.ndarray:
    premultiplied = np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=-1)
    small = premultiplied.reshape(PIXELS, FINE, PIXELS, FINE, 4).mean(axis=(1, 3))
    alpha = small[..., 3:]
    color = np.divide(small[..., :3], alpha, out=np.zeros_like(small[..., :3]), where=alpha > 0)
    return np.rint(np.concatenate([color, alpha], axis=-1) * 255).astype(np.uint8)


def main() -> None:
    picture = draw()
    for target in TARGETS:
        target.parent.mkdir(parents=True, exist_ok=True)
        imsave(target, picture)


if __name__ == "__main__":
    main()
