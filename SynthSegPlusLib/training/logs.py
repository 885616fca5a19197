"""Logs of a training: a CSV file, and TensorBoard event files written without TensorFlow.

An event file is a sequence of records (length, its checksum, protocol-buffer message, its checksum); only scalars are
needed, so the few fields are encoded here rather than by a package of a hundred megabytes.
"""

from __future__ import annotations

import csv
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CSV_NAME = "log.csv"
_CRC_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_CRC_MASK = 0xA282EAD8


class Logs:
    """Appends scalars of a step to ``folder``/log.csv and to a TensorBoard event file."""

    def __init__(self, folder: Path, append: bool = False) -> None:
        self._csv = (folder / CSV_NAME).open("a" if append else "w", newline="", encoding="utf-8")
        self._writer: Any = None
        self._append = append
        self._events = (folder / f"events.out.tfevents.{time.time_ns() // 10**6}.synthsegplus").open("wb")
        self._record(_field(1, time.time()) + _field(3, b"brain.Event:2"))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One row, one event; flushed, so that a running training can be watched."""
        if self._writer is None:
            self._writer = csv.writer(self._csv)
            if not self._append:
                self._writer.writerow(["step", *values])
        self._writer.writerow([step, *(f"{value:.6g}" for value in values.values())])
        self._csv.flush()
        scalars = (_field(1, name.encode()) + _float_field(2, value) for name, value in values.items())
        summary = b"".join(_field(1, scalar) for scalar in scalars)
        self._record(_field(1, time.time()) + _field(2, step) + _field(5, summary))
        self._events.flush()

    def close(self) -> None:
        self._csv.close()
        self._events.close()

    def _record(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        self._events.write(length + _masked_crc(length) + message + _masked_crc(message))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes | int | float) -> bytes:
    """A protocol-buffer field: bytes, integer or double."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _float_field(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ _CRC_POLYNOMIAL * (byte & 1)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF)
