"""A sample of the points; ``make reliability`` stops every verb at all of them (docs/reliability.md)."""

import pytest

from .calls import FULL, KILL
from .points import Bench, place
from .verbs import VERBS


@pytest.fixture(scope="module")
def where():
    with place() as found:
        yield found


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_that_is_killed_or_finds_the_disk_full_ends_with_the_same_bytes_when_it_is_run_again(verb, where):
    bench = Bench(verb, where)
    middle = bench.number // 2
    # In the clean-up, and in the middle. What goes to a Hub is not on a disk, nor always in as many calls.
    for how, point in ((KILL, middle),) if verb.hub else ((KILL, bench.number - 1), (FULL, middle)):
        counts = bench.stop(how, [point])
        problems = counts.wrong_end, counts.left, counts.harmed
        assert (problems, counts.stopped, counts.same) == (([], [], []), [point], [point]), counts.said


def test_a_kill_is_a_kill(where):
    """The bench itself: it counts calls, kills in the middle of a write, and sees what is left and what is lost."""
    (verb,) = (verb for verb in VERBS if verb.name == "evaluate --json")
    bench = Bench(verb, where)
    assert bench.number > 5
    sizes = []
    for point in range(1, bench.number + 1):
        bench.restore()
        assert bench.calls(KILL, point).code == -9
        sizes += [path.stat().st_size for path in where.work.rglob(".result.json.*/result.json")]
    whole = len(bench.after["result.json"])
    assert any(0 < size < whole for size in sizes)
    assert whole in sizes
    bench.restore()
    assert bench.calls(FULL, 1).code == 2
    bench.after["result.json"] = b"another"
    bench.after["missing"] = b""
    counts = bench.stop(KILL, [3])
    assert (counts.stopped, counts.same) == ([3], [])
    del bench.after["result.json"]
    assert bench.stop(KILL, [3]).left == [3]
