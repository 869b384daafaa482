from __future__ import annotations

from pathlib import Path

import pytest

from imgsmlr_site.postgres.memory import KEPT_FOR_OTHERS, MIB, memory_limit, memory_options

GIB = 1024 * MIB
PLENTY = 1024 * GIB


def megabytes(options: dict[str, str] | object, name: str) -> int:
    value: str = options[name]  # type: ignore[index]
    assert value.endswith("MB")
    return int(value[:-2])


@pytest.mark.parametrize(
    ("memory", "buffers"), [(GIB // 2, 128), (GIB, 128), (2 * GIB, 256), (24 * GIB, 5888)]
)
def test_buffers_and_build_memory_follow_the_memory(memory: int, buffers: int) -> None:
    options = memory_options(memory, 2, PLENTY)
    assert megabytes(options, "shared_buffers") == buffers
    assert megabytes(options, "maintenance_work_mem") == buffers


@pytest.mark.parametrize("memory", [2**power for power in range(30, 41)])
def test_full_buffers_and_a_build_leave_the_others_their_memory(memory: int) -> None:
    options = memory_options(memory, 64, PLENTY)
    taken = megabytes(options, "shared_buffers") + megabytes(options, "maintenance_work_mem")
    assert taken * MIB <= max(memory - KEPT_FOR_OTHERS, 256 * MIB)
    assert megabytes(options, "effective_cache_size") * MIB <= memory
    assert 16 <= megabytes(options, "work_mem") <= 64


@pytest.mark.parametrize(("cores", "parallel"), [(1, 0), (2, 1), (4, 3), (128, 7)])
def test_all_cores_build_an_index(cores: int, parallel: int) -> None:
    options = memory_options(8 * GIB, cores, PLENTY)
    assert options["max_parallel_maintenance_workers"] == str(parallel)


def test_one_process_builds_where_shared_memory_is_too_small() -> None:
    """As in a container, which has 64 MB unless it is told otherwise."""
    assert memory_options(8 * GIB, 4, 64 * MIB)["max_parallel_maintenance_workers"] == "0"


def test_the_least_limit_of_a_container_counts(tmp_path: Path) -> None:
    groups = tmp_path / "sys/fs/cgroup"
    (groups / "outer/inner").mkdir(parents=True)
    (groups / "outer/memory.max").write_text(f"{2 * GIB}\n")
    (groups / "outer/inner/memory.max").write_text("max\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    own = tmp_path / "proc/self/cgroup"
    own.write_text("0::/outer/inner\n")
    assert memory_limit(tmp_path) == 2 * GIB
    own.write_text("0::/\n")
    (groups / "memory.max").write_text(f"{GIB}\n")
    assert memory_limit(tmp_path) == GIB
    own.write_text("0::/the path on the host\n")
    assert memory_limit(tmp_path) == GIB


def test_the_limit_of_older_control_groups_counts(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup/memory/mine"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{GIB}\n")
    (group.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("8:pids:/\n4:memory,hugetlb:/mine\n0::/\n")
    assert memory_limit(tmp_path) == GIB


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) >= memory_limit()
