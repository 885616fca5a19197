"""Waiting for other processes, and seeing whether they are gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition; its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def gone(pid: int) -> bool:
    """Whether a process has ended, also where nobody has asked for its status yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
