"""A job's or container's own limit counts as much as what the host has free."""

from __future__ import annotations

import pytest

from SynthSegPlusLib.inference import _cgroups, _memory

GB = 1_000_000_000


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A host with 200 GB free, the groups that the process is in, and what their folders say."""
    monkeypatch.setattr(_cgroups, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(_cgroups, "MOUNT", tmp_path / "mount")
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 200 * GB}))

    def make(own, **groups):
        (tmp_path / "own").write_text(own)
        for path, files in groups.items():
            folder = tmp_path / "mount" / path
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / name).write_text(f"{content}\n")

    return make


def version_2(most, used, cache=0):
    return {"memory.max": most, "memory.current": used,
            "memory.stat": f"anon {used - cache}\ninactive_file {cache}\nactive_file 0"}  # fmt: skip


def version_1(most, used, cache=0):
    return {"memory.limit_in_bytes": most, "memory.usage_in_bytes": used,
            "memory.stat": f"inactive_file 7\ntotal_inactive_file {cache}"}  # fmt: skip


def test_without_groups_the_host_counts(machine):
    assert _memory.free_memory() == 200 * GB


def test_a_groups_limit_counts_and_what_it_caches_of_files_is_free(machine):
    machine("0::/job\n", job=version_2(4 * GB, 3 * GB, cache=GB))
    assert _memory.free_memory() == 2 * GB


def test_a_parents_limit_counts_for_its_children(machine):
    machine("0::/slurm/job/step\n", **{"slurm/job": version_2(8 * GB, 2 * GB), "slurm": version_2("max", 90 * GB),
                                       "slurm/job/step": version_2("max", GB)})  # fmt: skip
    assert _memory.free_memory() == 6 * GB


def test_the_older_version_is_read_and_its_largest_number_is_no_limit(machine):
    own = "5:cpuset:/\n4:cpu,memory:/docker/9f\n1:name=systemd:/docker/9f\n0::/\n"
    machine(own, **{"memory/docker/9f": version_1(4 * GB, 2 * GB, cache=GB), "memory": version_1(2**63 - 4096, GB)})
    assert _memory.free_memory() == 3 * GB


def test_a_container_that_sees_its_group_as_the_mount_has_its_limit(machine):
    machine("4:memory:/docker/9f\n", memory=version_1(4 * GB, GB))
    assert _memory.free_memory() == 3 * GB


def test_a_group_beyond_its_limit_leaves_nothing_and_a_limit_above_the_host_changes_nothing(machine):
    machine("0::/job\n", job=version_2(4 * GB, 5 * GB))
    assert _memory.free_memory() == 0
    machine("0::/job\n", job=version_2(900 * GB, 5 * GB))
    assert _memory.free_memory() == 200 * GB
