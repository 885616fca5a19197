"""A head from a closed formula, 60 x 70 x 64 voxels of 1.5 mm, tilted by 8 degrees: the input of the stored numbers."""

import numpy as np

SHAPE = (60, 70, 64)
SIZE_MM = 1.5

# (centre mm, radii mm, intensity), painted in this order: head, fluid, then what lies inside the folded brain.
SHELLS = (((0, 0, 0), (42, 50, 45), 60.0), ((0, 0, 0), (38, 46, 41), 25.0))
WHITE = ((0, 0, 0), (30, 38, 32), 150.0)
PAIRS = (
    ((9, 2, 4), (4, 16, 7), 30.0),
    ((10, -4, -4), (6, 8, 6), 120.0),
    ((19, 6, -3), (5, 10, 7), 115.0),
    ((22, -10, -14), (5, 11, 4), 105.0),
)
SINGLES = (((0, -24, -26), (22, 12, 9), 118.0), ((0, -8, -26), (7, 7, 14), 140.0))


def phantom() -> tuple[np.ndarray, np.ndarray]:
    """Image float32 [60, 70, 64] and its voxel-to-RAS affine float64 [4, 4] in mm."""
    index = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in SHAPE], indexing="ij")
    place = [(i - (n - 1) / 2) * SIZE_MM for i, n in zip(index, SHAPE, strict=True)]
    image = np.zeros(SHAPE)
    for centre, radii, value in SHELLS:
        image[_inside(place, centre, radii)] = value
    brain = _brain(*place)
    image[brain] = 110.0
    image[brain & _inside(place, *WHITE[:2])] = WHITE[2]
    for side in (-1, 1):
        for (x, y, z), radii, value in PAIRS:
            image[_inside(place, (side * x, y, z), radii)] = value
    for centre, radii, value in SINGLES:
        image[_inside(place, centre, radii)] = value
    x, y, _ = place
    image *= 1.0 + 0.1 * x / 45 - 0.05 * y / 52
    i, j, k = index
    image += 3.0 * np.sin(1.7 * i + 2.3 * j + 3.1 * k)
    return image.astype(np.float32), _affine()


def _inside(place, centre, radii):
    x, y, z = ((p - c) / r for p, c, r in zip(place, centre, radii, strict=True))
    return x**2 + y**2 + z**2 <= 1.0


def _brain(x, y, z):
    folds = 2.0 * np.sin(x / 3.0) * np.sin(y / 3.5) * np.sin(z / 3.2)
    return (x / 34) ** 2 + (y / 42) ** 2 + (z / 36) ** 2 <= (1.0 + 0.03 * folds) ** 2


def _affine() -> np.ndarray:
    angle = np.deg2rad(8.0)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= SIZE_MM
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine
