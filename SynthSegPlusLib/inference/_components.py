"""Connected components."""

from __future__ import annotations

import numpy as np


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest 6-connected component of a bool array [X, Y, Z]; the first in scan order on ties.

    An empty mask comes back empty.
    """
    from scipy import ndimage

    # Labelling only the bounding box gives the same components in the same order, and most classes are small.
    box = _bounding_box(mask)
    if box is None:
        return mask
    labels, count = ndimage.label(mask[box])
    if count <= 1:
        return mask
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    out = np.zeros_like(mask)
    out[box] = labels == sizes.argmax()
    return out


def grown_within(core: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``core`` and what of ``mask`` hangs together with it (6-connected), bool arrays [X, Y, Z]."""
    from scipy import ndimage

    whole = core | mask
    box = _bounding_box(whole)
    if box is None:
        return whole
    labels, count = ndimage.label(whole[box])
    reached = np.zeros(count + 1, bool)
    reached[labels[core[box]]] = True
    out = np.zeros_like(whole)
    out[box] = reached[labels]
    return out


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if not len(occupied):
            return None
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)
