"""Every engine gives the rows that a single thread gives; the Ray tests run a real local Ray."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from ray.cluster_utils import Cluster

from zoobench.building import chunks, engines
from zoobench.building.build import build
from zoobench.building.engines import engine_named, local
from zoobench.data.manifest import read_manifest
from zoobench.errors import ZoobenchError
from zoobench.zoos import resolve

from .test_build import read_rows

ZOO = "tetris-zoo-tiny/hyp"


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The rows of a build in one thread."""
    return read_rows(build(resolve(ZOO), tmp_path_factory.mktemp("serial"), workers=1), "hyp")


def assert_same_rows(folder, serial):
    rows = read_rows(folder, "hyp")
    assert [row["example_id"] for row in rows] == [row["example_id"] for row in serial]
    for name in ("test_accuracy", "train_loss"):
        np.testing.assert_allclose([row[name] for row in rows], [row[name] for row in serial], atol=2e-3)
    np.testing.assert_allclose(
        [row["weights"] for row in rows], [row["weights"] for row in serial], rtol=1e-3, atol=1e-4
    )


def test_threads_give_the_rows_of_one_thread(serial, tmp_path):
    seen = []
    folder = build(resolve(ZOO), tmp_path, workers=3, on_progress=seen.append)
    assert_same_rows(folder, serial)
    assert len(seen) == 3 * 4  # chunks x epochs
    assert [step.run_epochs_done for step in seen] == sorted(step.run_epochs_done for step in seen)
    assert (seen[-1].runs_done, seen[-1].run_epochs_done) == (72, 72 * 4)


def test_several_chunks_train_at_the_same_time(tmp_path, monkeypatch):
    real, meeting = chunks.train, threading.Barrier(3)

    def together(*args, **kwargs):
        meeting.wait(timeout=60)  # passes only when three threads are here
        return real(*args, **kwargs)

    monkeypatch.setattr(chunks, "train", together)
    build(resolve(ZOO), tmp_path, workers=3)


def test_what_goes_wrong_in_a_thread_ends_the_build(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ZoobenchError("the machine is on fire")

    monkeypatch.setattr(chunks, "train", broken)
    with pytest.raises(ZoobenchError, match="the machine is on fire"):
        build(resolve(ZOO), tmp_path, workers=2)
    assert not (tmp_path / "tetris-zoo-tiny").exists()


def test_the_default_is_one_chunk_for_each_core(monkeypatch):
    asked = []
    monkeypatch.setattr("zoobench.building.engines.ThreadPool", lambda workers, *rest: asked.append(workers) or 1 / 0)
    for cores, expected in ((2, 2), (64, 3)):  # never more threads than chunks
        monkeypatch.setattr(engines, "usable_cores", lambda cores=cores: cores)
        with pytest.raises(ZeroDivisionError):
            list(local([None] * 3, None, "cpu", None, print))
        assert asked.pop() == expected


def test_a_ray_cluster_of_two_nodes_gives_the_rows_of_one_thread(serial, tmp_path, monkeypatch):
    """Two raylets of one core each behind RAY_ADDRESS, as two machines would be."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        seen = []
        folder = build(resolve(ZOO), tmp_path, engine=engine_named("ray"), on_progress=seen.append)
    finally:
        cluster.shutdown()
    assert_same_rows(folder, serial)
    assert seen[-1].run_epochs_done == 72 * 4


def ray_workers(process):
    """Ray's worker processes below ``process`` that have been given a task."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "ray::_task" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


def test_ray_does_the_chunk_of_a_killed_worker_again(serial, tmp_path):
    """A local Ray of two workers; kill -9 on one in the middle of its chunk, while the build runs as users start it."""
    command = [sys.executable, "-m", "zoobench", "build", "tetris-zoo/hyp", "--scale", "tiny"]
    command += ["--out", str(tmp_path), "--engine", "ray", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    family, killed = psutil.Process(process.pid), []
    while process.poll() is None and not killed:
        for worker in ray_workers(family):
            worker.send_signal(signal.SIGKILL)
            killed.append(worker.pid)
            break
        time.sleep(0.005)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert killed
    assert_same_rows(tmp_path / "tetris-zoo-tiny", serial)


def test_an_error_in_a_ray_task_is_one_line(zoobench, tmp_path):
    outcome = zoobench(
        *("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path, "--engine", "ray", "--device", "cuda")
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: Ray has no GPU for --device cuda; give it one, or choose another --device\n"


def test_a_ray_cluster_that_is_not_there_is_one_line(zoobench, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    outcome = zoobench("build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path, "--engine", "ray")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: cannot reach the Ray cluster at RAY_ADDRESS=127.0.0.1:1: Connection refused")
    assert outcome.err.count("\n") == 1


def test_an_unknown_engine_is_named(zoobench, tmp_path):
    outcome = zoobench("build", "tetris-zoo/seed", "--out", tmp_path, "--engine", "rai")
    assert (outcome.code, outcome.err) == (2, "error: unknown engine 'rai'; did you mean 'ray'?\n")


def test_another_seed_is_another_population(serial, tmp_path):
    folder = build(resolve(ZOO), tmp_path, seed=7)
    rows = sorted(read_rows(folder, "hyp"), key=lambda row: row["example_id"])
    serial = sorted(serial, key=lambda row: row["example_id"])
    assert [row["example_id"] for row in rows] == [row["example_id"] for row in serial]
    assert not {row["seed"] for row in rows} & {row["seed"] for row in serial}
    assert all(ours["weights"] != theirs["weights"] for ours, theirs in zip(rows, serial, strict=True))
    assert read_manifest(folder).configs["hyp"].seed == 7
    assert "--seed 7" in (folder / "README.md").read_text()
