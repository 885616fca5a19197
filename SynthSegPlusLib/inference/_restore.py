"""Back to the grid that the user asked for."""

from __future__ import annotations

from typing import Literal

import numpy as np

from SynthSegPlusLib.inference._soft import SoftLabels
from SynthSegPlusLib.volume import Conformed, Volume


class Restorer:
    """Brings maps to the 1 mm grid in the input's orientation, or to the input's own grid.

    ``on_working_grid``: maps are on the padded working grid; otherwise on the output grid already.
    """

    def __init__(self, conformed: Conformed, grid: Literal["1mm", "native"], on_working_grid: bool):
        self._conformed = conformed
        self._grid = grid
        self._on_working_grid = on_working_grid

    def labels(self, values: np.ndarray) -> Volume:
        """Label values int32 [X, Y, Z]."""
        output = self._conformed.to_output(values) if self._on_working_grid else values
        return self._conformed.restore(np.ascontiguousarray(output), self._grid)

    def posteriors(self, soft: SoftLabels) -> Volume:
        """All channels, float32 [x, y, z, channels]; where nothing was seen, background is certain."""
        whole: np.ndarray | None = None
        restored = None
        for number in range(len(soft.table)):
            channel = soft.channel(number)
            fill = 1.0 if number == 0 else 0.0
            if self._on_working_grid:
                channel = self._to_output(channel, fill)
            restored = self._conformed.restore(channel, self._grid, "linear", fill)
            if whole is None:
                whole = np.empty((*restored.shape, len(soft.table)), np.float32)
            whole[..., number] = restored.data
        assert restored is not None
        assert whole is not None
        return Volume(whole, restored.affine, restored.name, None, restored.header, restored.header_sizes)

    def _to_output(self, channel: np.ndarray, outside: float) -> np.ndarray:
        if outside == 0:
            return self._conformed.to_output(channel)
        return self._conformed.to_output(channel[..., None])[..., 0]  # channel 0 of a stack is filled with 1
