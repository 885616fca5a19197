"""What Linux' control groups leave a process: limits of Slurm, Docker and Kubernetes, which are less than the host's.

A group that asks for more than its limit is killed by the kernel, whatever the host has free.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")

_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def left_by_cgroups() -> int | None:
    """Memory in bytes that the strictest of this process' groups and their parents leaves; None without a limit."""
    left = [_left(folder, *names) for folder, names in _groups()]
    return min((number for number in left if number is not None), default=None)


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Folder of each group that may limit memory, and the names that its version gives to limit, usage and cache."""
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:
            yield from ((folder, _VERSION_2) for folder in _upwards(MOUNT, path))
        elif "memory" in controllers.split(","):
            yield from ((folder, _VERSION_1) for folder in _upwards(MOUNT / "memory", path))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and its parents. A container may see its own group as the mount, and the path of the host."""
    folder = mount / path.strip("/")
    yield from (place for place in (folder, *folder.parents) if place.is_relative_to(mount))


def _left(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Bytes up to a group's limit; what it holds of files that nobody has read lately is given back when needed."""
    try:
        most, used = (int((folder / name).read_text(encoding="utf-8")) for name in (limit, usage))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
        return max(0, most - used + int(counts.get(cache, 0)))
    except (OSError, ValueError):  # no such group, or "max"
        return None
