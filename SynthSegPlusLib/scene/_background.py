"""Work on files and arrays in a thread, whose outcome is fetched by polling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Background:
    """Runs a function in a thread. It must not touch the scene or any window: those belong to the main thread."""

    def __init__(self, name: str, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"SynthSegPlus {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:  # told to whoever asks for the result
            self._error = error

    @property
    def finished(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What the function returned; waits for it; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result

    def wait(self) -> None:
        """Wait for the end, whatever it is."""
        self._thread.join()
