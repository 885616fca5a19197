"""Small label maps for tests."""

from __future__ import annotations

import numpy as np

from SynthSegPlusLib.synthesis import LabelMap, make_label_map


def head(shape: tuple[int, int, int] = (48, 56, 48)) -> np.ndarray:
    """Label values of a toy head: skin, CSF, cortex, white matter, ventricles, thalami, cerebellum, brain-stem."""
    centre = (np.array(shape) - 1) / 2
    x, y, z = (axis - c for axis, c in zip(np.indices(shape), centre, strict=True))
    radius = np.sqrt(x**2 + (y * 0.85) ** 2 + z**2)
    labels = np.zeros(shape, np.int32)
    left = x < 0
    labels[radius < 22] = 511
    labels[radius < 20] = 24
    labels[radius < 18] = np.where(left, 3, 42)[radius < 18]
    labels[radius < 14] = np.where(left, 2, 41)[radius < 14]
    ventricle = (np.abs(np.abs(x) - 4) < 2) & (np.abs(y) < 6) & (np.abs(z - 2) < 4)
    labels[ventricle] = np.where(left, 4, 43)[ventricle]
    thalamus = (np.abs(np.abs(x) - 4) < 3) & (np.abs(y) < 4) & (np.abs(z + 4) < 3)
    labels[thalamus] = np.where(left, 10, 49)[thalamus]
    labels[(np.abs(x) < 2) & (np.abs(y) < 2) & (z < -6) & (radius < 18)] = 16
    return labels


def phantom(parcels: bool = False) -> LabelMap:
    """The toy head as a label map; its parcels are three bands along y."""
    labels = head()
    bands = (np.indices(labels.shape)[1] // 20 + 1).astype(np.uint8)
    return make_label_map(labels, "phantom", bands if parcels else None)


def numpy(tensor: object) -> np.ndarray:
    """A backend's tensor as an array."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor))


def tensor(array: np.ndarray, dtype: str = "float32") -> object:
    """An array as a backend's tensor."""
    import keras

    return keras.ops.convert_to_tensor(np.asarray(array, dtype))
