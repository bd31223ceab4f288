"""What becomes of a verb that is stopped at each point: the counts of docs/reliability.md."""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..loopback_hub import TOKEN, LoopbackHub
from ..loopback_hub import running as hub_running
from .calls import COUNT, KILL, Calls, Done, running
from .verbs import Before, Verb, words

Tree = dict[str, bytes | None]


@dataclass
class Counts:
    """Of one verb and one way of stopping it; lists have points."""

    calls: int
    stopped: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    harmed: list[int] = field(default_factory=list)
    wrong_end: list[int] = field(default_factory=list)
    said: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where verbs are run: folders that they write and read, the command line, a Hub."""

    work: Path
    given: Path
    calls: Calls
    hub: LoopbackHub


@contextlib.contextmanager
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zoobench-kills-"))).resolve()
        work, given, room = root / "work", root / "given", root / "room"
        room.mkdir()
        hub = LoopbackHub(work / "hub")
        environment = {
            "ZOOBENCH_DATA": str(given),
            "HOME": str(room),
            "XDG_CACHE_HOME": str(room / "cache"),
            "HF_HOME": str(work / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_ENDPOINT": stack.enter_context(hub_running(hub)),
            "HF_TOKEN": TOKEN,
        }
        yield Place(work, given, stack.enter_context(running(work, room, environment)), hub)


class Bench:
    """A verb, what is there before it, and what it makes when nothing stops it."""

    def __init__(self, verb: Verb, where: Place) -> None:
        self.verb, self.work, self.hub = verb, where.work, where.hub
        self.kept = where.work.with_name("before")
        for folder in (where.work, where.given, self.kept):
            shutil.rmtree(folder, ignore_errors=True)
        where.given.mkdir()
        self.hub.repos.clear()
        self.hub.objects.mkdir(parents=True)
        verb.start(Before(where.work, where.given, where.calls))
        shutil.copytree(self.work, self.kept, symlinks=True)
        self.before, self.repos = self.tree(), dict(self.hub.repos)
        self.arguments = words(verb.arguments, where.work, where.given)
        self.calls = lambda how=COUNT, point=0: where.calls(self.arguments, how, point, verb.hub)
        done = self.calls()
        assert done.code == 0, done.printed
        self.number, self.after = done.seen, self.tree()

    def tree(self) -> Tree:
        """Every file and folder, also the hidden ones; ``None`` for a folder."""
        found: Tree = {}
        for path in self.work.rglob("*"):
            name = path.relative_to(self.work)
            if not any(name.is_relative_to(folder) for folder in self.verb.foreign):
                found[name.as_posix()] = None if path.is_dir() else path.read_bytes()
        return found

    def restore(self) -> None:
        shutil.rmtree(self.work)
        shutil.copytree(self.kept, self.work, symlinks=True)
        self.hub.repos.clear()
        self.hub.repos.update(self.repos)

    def stop(self, how: int, points: Iterable[int]) -> Counts:
        """Stop the verb at some of its calls, each time from what was there before, and run it again."""
        counts = Counts(self.number)
        for point in points:
            self.restore()
            first = self.calls(how, point)
            if first.code == 0 and first.seen < point:
                continue  # it came to fewer calls this time, as what works in threads does
            counts.stopped.append(point)
            between = self.tree()
            if not self._ended_well(how, first, between):
                counts.wrong_end.append(point)
                counts.said[point] = first.printed
            if not (self.before.items() & self.after.items()) <= between.items():
                counts.harmed.append(point)
            again = self.calls()
            there = self.tree()
            if again.code == 0 and self.after.items() <= there.items():
                counts.same.append(point)
            else:
                counts.said.setdefault(point, again.printed)
            if more := sorted(there.keys() - self.after.keys()):
                counts.left.append(point)
                counts.said.setdefault(point, " ".join(more))
        return counts

    def _ended_well(self, how: int, first: Done, there: Tree) -> bool:
        if how == KILL:
            return first.code == -signal.SIGKILL
        # It may do without what finds no place, a cache for one.
        return "Traceback" not in first.printed and (first.code == 2 or (first.code == 0 and there == self.after))
