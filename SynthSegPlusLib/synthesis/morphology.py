"""Anatomy beyond the training maps: wider ventricles, other cortex, hippocampi, amygdalae and horns, lesions.

Labels are positions in the generation table, integer [x, y, z]. A structure grows by d mm where the blurred mask of it
exceeds the value that a Gaussian edge has at distance d: smooth, sub-voxel, and three matrix products on any backend.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from SynthSegPlusLib.synthesis.interpolation import apply_along_axes, blur_matrix, resize
from SynthSegPlusLib.synthesis.label_maps import LabelSpace, label_space

EDGE_MM = 2.0
"""Standard deviation of the blur that measures closeness to a structure."""
LESION_REACH_MM = 8.0
"""White-matter lesions are likelier this near the ventricles."""

_WHITE = {2: 4, 25: 4, 41: 43, 57: 43}
_LESION = {2: 25, 41: 57}
_CORTEX = (3, 42)


_AMYGDALAE, _HIPPOCAMPI, _HORNS, _WHITE_MATTER = (18, 54), (17, 53), (5, 44), (2, 41)
_CSF = 24


def edge_value(distance: float) -> float:
    """Value of a blurred half-space at ``distance`` mm outside its border: Phi(-d / EDGE_MM)."""
    return 0.5 * math.erfc(distance / EDGE_MM / math.sqrt(2))


def closeness(labels: Any, members: np.ndarray, voxel: float, sigma: float = EDGE_MM) -> Any:
    """Blurred mask, in [0, 1], of the labels for which ``members`` (boolean [n]) is true."""
    from keras import ops

    mask = ops.take(ops.convert_to_tensor(members.astype(np.float32)), labels, axis=0)
    return apply_along_axes(mask, [blur_matrix(size, sigma / voxel) for size in labels.shape])


def _relabel(labels: Any, change: Any, pairs: dict[int, int], space: LabelSpace) -> Any:
    from keras import ops

    table = np.arange(len(space.values), dtype=np.int32)
    for old, new in pairs.items():
        table[space.position(old)] = space.position(new)
    return ops.where(change, ops.take(ops.convert_to_tensor(table), labels, axis=0), labels)


def enlarge_ventricles(labels: Any, distance: float, voxel: float) -> Any:
    """White matter within ``distance`` mm of the lateral ventricles becomes lateral ventricle of its side."""
    if distance <= 0:
        return labels
    space = label_space()
    near = closeness(labels, space.members(4, 43), voxel)
    return _relabel(labels, near > edge_value(distance), _WHITE, space)


def thin_cortex(labels: Any, distance: float, voxel: float) -> Any:
    """Cortex within ``distance`` mm of the CSF becomes CSF; a negative distance lets the cortex grow into the CSF."""
    from keras import ops

    if distance == 0:
        return labels
    space = label_space()
    left, right = _CORTEX
    if distance > 0:
        near = closeness(labels, space.values == _CSF, voxel)
        return _relabel(labels, near > edge_value(distance), {left: _CSF, right: _CSF}, space)
    near_left = closeness(labels, space.values == left, voxel)
    near_right = closeness(labels, space.values == right, voxel)
    threshold = edge_value(-distance)
    is_left = near_left >= near_right
    labels = _relabel(labels, ops.logical_and(is_left, near_left > threshold), {_CSF: left}, space)
    return _relabel(labels, ops.logical_and(ops.logical_not(is_left), near_right > threshold), {_CSF: right}, space)


class _Nucleus(NamedTuple):
    """A structure of one side, what lies against it and counts as inside, what fills and what yields its room."""

    own: int
    beside: int
    filler: int
    room: tuple[int, ...]


def resize_hippocampi(labels: Any, factors: tuple[float, float], voxel: float) -> Any:
    """Left and right hippocampus get ``factors`` times as many voxels (1 leaves a side as it is).

    A smaller one keeps its innermost voxels and the inferior lateral ventricle fills what it leaves, as in mesial
    temporal atrophy; the amygdala counts as inside, so that nothing opens between the two. A larger one takes the
    nearest voxels of white matter and inferior lateral ventricle of its side.
    """
    for sides, factor in zip(zip(_HIPPOCAMPI, _AMYGDALAE, _HORNS, _WHITE_MATTER, strict=True), factors, strict=True):
        own, amygdala, horn, white = sides
        labels = _resize(labels, _Nucleus(own, amygdala, horn, (white, horn)), factor, voxel)
    return labels


def resize_amygdalae(labels: Any, factors: tuple[float, float], voxel: float) -> Any:
    """Left and right amygdala get ``factors`` times as many voxels (1 leaves a side as it is).

    As `resize_hippocampi`, but white matter fills what a smaller one leaves.
    """
    for sides, factor in zip(zip(_AMYGDALAE, _HIPPOCAMPI, _HORNS, _WHITE_MATTER, strict=True), factors, strict=True):
        own, hippocampus, horn, white = sides
        labels = _resize(labels, _Nucleus(own, hippocampus, white, (white, horn)), factor, voxel)
    return labels


def _resize(labels: Any, nucleus: _Nucleus, factor: float, voxel: float) -> Any:
    from keras import ops

    space = label_space()
    own = space.members(nucleus.own)
    body = ops.take(ops.convert_to_tensor(own), labels, axis=0)
    change = round((factor - 1) * _count(body))
    if change < 0:
        depth = closeness(labels, space.members(nucleus.own, nucleus.beside), voxel)
        lost = _highest(ops.where(body, 1 - depth, -1.0), -change)
        labels = _relabel(labels, lost, {nucleus.own: nucleus.filler}, space)
    elif change > 0:
        labels = _grow(labels, nucleus.own, nucleus.room, change, voxel)
    return labels


def widen_horns(labels: Any, volumes: tuple[float, float], voxel: float) -> Any:
    """The left and right inferior lateral ventricle take ``volumes`` mm3 of what is nearest to them.

    White matter, hippocampus and amygdala of its side yield, so these two end smaller than they were made; a side that
    has no horn keeps none.
    """
    from keras import ops

    space = label_space()
    for sides, volume in zip(zip(_HORNS, _WHITE_MATTER, _HIPPOCAMPI, _AMYGDALAE, strict=True), volumes, strict=True):
        horn, *room = sides
        body = ops.take(ops.convert_to_tensor(space.members(horn)), labels, axis=0)
        change = round(volume / voxel**3)
        if change > 0 and _count(body):
            labels = _grow(labels, horn, tuple(room), change, voxel)
    return labels


def _grow(labels: Any, own: int, room: tuple[int, ...], count: int, voxel: float) -> Any:
    """The ``count`` voxels of the labels ``room`` that are nearest to the structure become it."""
    from keras import ops

    space = label_space()
    may = ops.take(ops.convert_to_tensor(space.members(*room)), labels, axis=0)
    gained = _highest(ops.where(may, closeness(labels, space.members(own), voxel), -1.0), count)
    return ops.where(gained, space.position(own), labels)


def _count(mask: Any) -> int:
    from keras import ops

    return int(ops.convert_to_numpy(ops.sum(ops.cast(mask, "int32"))))


def _highest(values: Any, count: int) -> Any:
    """Boolean: where ``values``, above 0 in places that may be chosen, are among the ``count`` highest."""
    from keras import ops

    threshold = ops.top_k(ops.reshape(values, (-1,)), count)[0][-1]
    return ops.logical_and(values >= threshold, values > 0)


def add_lesions(labels: Any, control: np.ndarray, threshold: float, voxel: float) -> Any:
    """White matter becomes lesion where a smooth field plus closeness to the ventricles exceeds ``threshold``.

    ``control`` [i, j, k]: the field on a coarse grid, unit variance; closeness counts up to 2.
    """
    from keras import ops

    space = label_space()
    field = resize(ops.convert_to_tensor(control.astype(np.float32)), labels.shape)
    field = field + 2.0 * closeness(labels, space.members(4, 43), voxel, LESION_REACH_MM)
    return _relabel(labels, field > threshold, _LESION, space)
