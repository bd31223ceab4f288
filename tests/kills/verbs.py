"""The verbs that write, each with the folder that it starts from. A new verb is one more entry of ``VERBS``."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..dataset_scripts import schurholt_like
from ..leaderboard.conftest import SUBMISSION
from .calls import KILL, Calls

SEED, HYP = "tetris-zoo-tiny/seed", "tetris-zoo-tiny/hyp"
# One worker: chunks are kept in their order.
_BUILD = f"build {SEED} --out {{work}} --workers 1"
_RELEASED = "mnist-zoo/hyp-5-rand-seed"
_PUBLISH = "publish {given}/tetris-zoo-tiny zoobench/tetris-zoo-tiny"
_IMPORT = f"import schurholt {{given}}/raw --zoo {_RELEASED} --out {{work}}"
_RUN = f"run {{}} --zoo {HYP} --task accuracy --out {{}}"


@dataclass(frozen=True)
class Verb:
    """A command line that writes.

    Attributes:
        name: what the table calls it.
        arguments: of ``zoobench``; ``{work}`` is the folder that it writes below, ``{given}`` one that it only reads,
            and where its zoos are.
        start: makes what is there before in both.
        foreign: folders in ``{work}`` that another library keeps.
        hub: it writes to a Hub, whose folder is ``{work}/hub``; what it sends counts as well.
    """

    name: str
    arguments: str
    start: Callable[["Before"], object]
    foreign: tuple[str, ...] = ()
    hub: bool = False


@dataclass(frozen=True)
class Before:
    """What ``start`` is given: the two folders, and the command line."""

    work: Path
    given: Path
    calls: Calls

    def __call__(self, text: str) -> None:
        done = self.calls(words(text, self.work, self.given))
        assert done.code == 0, done.printed


def words(text: str, work: Path, given: Path) -> list[str]:
    return [word.format(work=work, given=given) for word in text.split()]


def _nothing(_: Before) -> None:
    pass


def _older(before: Before) -> None:
    """The same config of another population, and another config of the same repo."""
    before(f"build {SEED} --out {{work}} --seed 7")
    before(f"build {HYP} --out {{work}}")


def _interrupted(before: Before) -> None:
    """Two of the three chunks, of a build that was killed at the first call after the second."""
    arguments = words(_BUILD, before.work, before.given)
    point = 0
    while len(list(before.work.glob(".*.build/chunk-*.json"))) < 2:
        for folder in before.work.glob(".*"):
            shutil.rmtree(folder, ignore_errors=True)
        point += 1
        assert before.calls(arguments, KILL, point).code < 0


def _released(before: Before) -> None:
    runs = schurholt_like.trained(schurholt_like.drawn())
    schurholt_like.write_raw(before.given / "raw", runs)


def _released_less(before: Before) -> None:
    """An import of all runs but one."""
    _released(before)
    last = max((before.given / "raw").iterdir())
    last.rename(before.given / "last")
    before(_IMPORT)
    (before.given / "last").rename(last)


def _built(before: Before) -> None:
    before(f"build {SEED} --out {{given}}")


def _published(before: Before) -> None:
    """Another population is published."""
    before(f"build {SEED} --out {{given}} --seed 7")
    before(_PUBLISH)
    _built(before)


def _two_built(before: Before) -> None:
    _built(before)
    before(f"build {HYP} --out {{given}}")


def _model(before: Before) -> None:
    """Predictions and a model of another baseline."""
    before(f"build {HYP} --out {{given}}")
    before(_RUN.format("linear", "{work}/p.parquet") + " --save {work}/model")


def _predicted(before: Before) -> None:
    before(f"build {HYP} --out {{given}}")
    before(_RUN.format("linear", "{given}/p.parquet"))
    (before.work / "result.json").write_bytes(b"{}")


def _submitted(before: Before) -> None:
    _built(before)
    for features in ("W", "stats"):
        folder = before.work / "submissions" / f"linear-{features.lower()}"
        folder.mkdir(parents=True)
        (folder / "submission.yaml").write_text(yaml.safe_dump(SUBMISSION))
        before(f"run linear --zoo {SEED} --param features={features} --out {folder / SEED}.parquet")


def _pinned(before: Before) -> None:
    _submitted(before)
    before(f"leaderboard pin {SEED} --dir {{work}}")


def _pinned_other(before: Before) -> None:
    """Labels of another population are pinned."""
    before(f"build {SEED} --out {{given}} --seed 7")
    before(f"leaderboard pin {SEED} --dir {{work}}")
    _built(before)


VERBS = (
    Verb("build", _BUILD, _nothing),
    Verb("build over an older zoo", _BUILD, _older),
    Verb("build, resumed", _BUILD, _interrupted),
    Verb("import", _IMPORT, _released),
    Verb("import over an older one", f"{_IMPORT} --replace", _released_less),
    Verb("publish", _PUBLISH, _built, foreign=("hf/hub",), hub=True),
    Verb("publish over another build", _PUBLISH, _published, foreign=("hf/hub",), hub=True),
    Verb("install", "install {given}", _two_built),
    Verb(
        "run --save over another model",
        _RUN.format("gbm", "{work}/p.parquet") + " --save {work}/model --trials 2 --max-trees 3",
        _model,
    ),
    Verb("evaluate --json", "evaluate --predictions {given}/p.parquet --json {work}/result.json", _predicted),
    Verb("perturb", f"perturb {SEED} --out {{work}}/perturbed --sample 5", _built),
    Verb("leaderboard pin", f"leaderboard pin {SEED} --dir {{work}}", _submitted),
    Verb("leaderboard pin over other labels", f"leaderboard pin {SEED} --dir {{work}}", _pinned_other),
    Verb("leaderboard score", "leaderboard score --dir {work}", _pinned),
)
