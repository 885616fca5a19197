"""What a network is shown: an image, a label map to be one-hot encoded, or both, made slab by slab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SynthSegPlusLib.contract.errors import InputError


@dataclass(frozen=True)
class Inputs:
    """Input channels of a network that are never built whole.

    Attributes
    ----------
    image
        float32 [X, Y, Z, c] or [X, Y, Z]: channels taken as they are; or None.
    groups
        Whole numbers [X, Y, Z], 0 to ``n_groups - 1``: one-hot encoded, after the image's channels; or None.
    n_groups
        Number of one-hot channels.
    """

    image: np.ndarray | None = None
    groups: np.ndarray | None = None
    n_groups: int = 0

    def __post_init__(self) -> None:
        if self.image is None and self.groups is None:
            raise InputError("A network's input has neither image nor groups; give at least one.")
        if self.image is not None and self.image.ndim == 3:
            object.__setattr__(self, "image", self.image[..., None])
        shapes = {array.shape[:3] for array in (self.image, self.groups) if array is not None}
        if len(shapes) > 1:
            raise InputError(f"A network's image and groups differ in shape ({shapes}); give them on the same grid.")

    @classmethod
    def of(cls, inputs: Inputs | np.ndarray) -> Inputs:
        """Wrap a plain array [X, Y, Z, c]; `Inputs` pass through."""
        return inputs if isinstance(inputs, Inputs) else cls(image=np.asarray(inputs))

    @property
    def shape(self) -> tuple[int, int, int]:
        """The grid, [X, Y, Z]."""
        array = self.groups if self.image is None else self.image
        assert array is not None
        return array.shape[:3]

    @property
    def channels(self) -> int:
        """Number of channels of `slab`."""
        return (0 if self.image is None else self.image.shape[3]) + (0 if self.groups is None else self.n_groups)

    def slab(self, start: int, stop: int) -> np.ndarray:
        """Channels of the planes ``start`` to ``stop`` along x, float32 [stop - start, Y, Z, channels].

        Planes outside the grid are zero in every channel, as the networks' own padding.
        """
        low, high = max(start, 0), min(stop, self.shape[0])
        out = np.zeros((stop - start, *self.shape[1:], self.channels), np.float32)
        inner = out[low - start : high - start]
        count = 0
        if self.image is not None:
            count = self.image.shape[3]
            inner[..., :count] = self.image[low:high]
        if self.groups is not None:
            for group in range(self.n_groups):
                inner[..., count + group] = self.groups[low:high] == group
        return out
