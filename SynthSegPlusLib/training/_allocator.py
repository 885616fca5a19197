"""Memory that a training keeps between its steps instead of returning it each time."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names of glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Let this process keep freed memory for its next arrays; whether the C library can be told so (glibc can).

    Otherwise every large array is mapped anew and its pages cleared, which takes a quarter of a small network's step
    on a CPU.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
