import os
import shutil
import subprocess
import sys

import pytest

from zoobench.data.manifest import read_manifest
from zoobench.errors import ZoobenchError
from zoobench.predictors.run import run
from zoobench.scoring.harness import evaluate
from zoobench.zoos import resolve
from zoobench_leaderboard.pin import pin


def test_pinned_labels_score_as_the_zoo_does_and_have_no_weights(tiny, tmp_path, monkeypatch, zoobench):
    run("linear", tiny, {}, tmp_path / "p.parquet")
    here = evaluate(tmp_path / "p.parquet").to_json()
    outcome = zoobench("leaderboard", "pin", tiny.id, "--dir", tmp_path / "board")
    assert outcome.code == 0, outcome.err
    pinned = tmp_path / "board" / "labels"
    assert sorted(
        str(path.relative_to(pinned / "tetris-zoo-tiny")) for path in pinned.rglob("*") if path.is_file()
    ) == [
        "labels/seed/test.parquet",
        "manifest.json",
        "references/seed/constant-final.parquet",
        "references/seed/constant.parquet",
        "references/seed/hyperparameters-final.parquet",
        "references/seed/hyperparameters.parquet",
    ]
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "nothing"))
    assert evaluate(tmp_path / "p.parquet", homes=[pinned]).to_json() == here


def test_a_second_config_stands_beside_the_first(tiny_home, tiny_hyp_home, tmp_path, monkeypatch):
    for home, config in ((tiny_home, "seed"), (tiny_hyp_home, "hyp"), (tiny_home, "seed")):
        monkeypatch.setenv("ZOOBENCH_DATA", str(home))
        folder = pin(tmp_path, resolve(f"tetris-zoo-tiny/{config}"))
    assert sorted(path.name for path in (folder / "labels").iterdir()) == ["hyp", "seed"]


def test_pins_of_two_configs_at_once_lose_neither(tiny_home, tiny_hyp_home, tmp_path):
    homes = {"seed": tiny_home, "hyp": tiny_hyp_home}
    for number in range(2):
        board = tmp_path / str(number)
        command = [sys.executable, "-m", "zoobench", "leaderboard", "pin", "--dir", str(board)]
        pinning = [
            subprocess.Popen([*command, f"tetris-zoo-tiny/{config}"], env=os.environ | {"ZOOBENCH_DATA": str(home)})
            for config, home in homes.items()
        ]
        assert [one.wait(timeout=120) for one in pinning] == [0, 0]
        assert set(read_manifest(board / "labels" / "tetris-zoo-tiny").configs) == {"seed", "hyp"}
        assert not list(board.rglob("*.lock"))


def test_what_cannot_be_pinned_changes_nothing(tiny_home, tmp_path, monkeypatch):
    with pytest.raises(ZoobenchError, match="zoo 'tetris-zoo-tiny/seed' is neither in"):
        pin(tmp_path / "board", resolve("tetris-zoo-tiny/seed"))
    shutil.copytree(tiny_home, tmp_path / "home")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "home"))
    labels = tmp_path / "home" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet"
    labels.write_bytes(labels.read_bytes()[:-1] + b"?")
    with pytest.raises(ZoobenchError, match="the manifest says"):
        pin(tmp_path / "board", resolve("tetris-zoo-tiny/seed"))
    assert not (tmp_path / "board").exists()
