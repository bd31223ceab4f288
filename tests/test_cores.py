"""Cores are counted as this process is given them: by affinity and by the quotas of control groups."""

import ast
import os
from pathlib import Path

import pytest

from zoobench.cores import usable_cores

ROOT = Path(__file__).resolve().parents[1]


def machine(root, groups, **files):
    """A root folder with ``proc`` and ``sys``; ``files`` are those below ``/sys/fs/cgroup``."""
    for path, content in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 16),
        # The tightest of the group and those around it.
        (
            "0::/job/step\n",
            {"cpu.max": "400000 100000\n", "job/cpu.max": "300000 100000\n", "job/step/cpu.max": "max 100000"},
            3,
        ),
        # A container that is shown its path outside.
        ("0::/docker/abc\n", {"cpu.max": "500000 100000\n"}, 5),
        (
            "4:memory:/m\n3:cpu,cpuacct:/job\n",
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "700000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 7),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 16),
        ("0::/\n", {}, 16),
        ("", {}, 16),
        ("gibberish\n", {}, 16),
    ],
)
def test_a_quota_counts_where_it_is_tighter_than_the_affinity(tmp_path, groups, files, expected):
    assert usable_cores(machine(tmp_path, groups, **files)) == expected


def test_a_machine_without_control_groups_has_its_affinity_or_else_its_cores(tmp_path, monkeypatch):
    assert usable_cores(tmp_path) == 16
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == 64


def test_nothing_counts_the_cores_of_the_machine():
    """``os.cpu_count`` knows neither affinity nor quotas."""
    counting = [
        str(path.relative_to(ROOT))
        for room in ("zoobench", "baselines", "dataset_scripts", "leaderboard", "reproductions")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr == "cpu_count"
    ]
    assert counting == ["zoobench/cores.py"]
