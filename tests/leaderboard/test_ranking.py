import numpy as np
import pytest

from zoobench.compare import compare
from zoobench.results import ZooResult
from zoobench_leaderboard.ranking import boards, rank_text
from zoobench_leaderboard.score import Entry, score_all


def _renamed(entry: Entry, name: str, **changes) -> Entry:
    result = entry.results[0].model_copy(update=changes)
    return entry.model_copy(update={"name": name, "results": [result]})


def _shifted(result: ZooResult, by: float) -> dict:
    def shift(score):
        return score.model_copy(update={"value": score.value + by})

    return {
        name: task.model_copy(update={"scores": {m: shift(s) for m, s in task.scores.items()}})
        for name, task in result.tasks.items()
    }


def test_submissions_are_ordered_by_mean_r2(board):
    entries = score_all(board)
    listed, final = boards(entries)
    assert (listed.protocol, final.protocol) == ("all", "final")
    means = {}
    for entry in entries:
        scores = [task.scores["r2"].value for task in entry.results[0].tasks.values()]
        means[entry.name] = sum(scores) / len(scores)
    assert [row.entry.name for row in listed.rows] == sorted(means, key=means.get, reverse=True)
    assert [row.rank for row in listed.rows] == [1, 2]
    assert [row.mean for row in listed.rows] == sorted(means.values(), reverse=True)


def test_partial_submissions_are_shown_and_not_ranked(board):
    entries = score_all(board)
    whole = entries[0].results[0]
    stamp = whole.stamp.model_copy(update={"task_versions": {"accuracy": 1}})
    partial = _renamed(entries[0], "a-partial", tasks={"accuracy": whole.tasks["accuracy"]}, stamp=stamp)
    listed = boards([partial, *entries])[0]
    assert listed.rows[-1].entry.name == "a-partial"
    assert (listed.rows[-1].rank, listed.rows[-1].mean) == (None, None)
    assert [row.rank for row in listed.rows[:-1]] == [1, 2]


def test_results_with_other_stamps_are_never_ranked_together(board):
    entries = score_all(board)
    result = entries[0].results[0]
    changes = (
        {"labels_sha256": "0" * 64},
        {"protocol": "final"},
        {"split": "validation"},
        {"task_versions": dict.fromkeys(result.tasks, 2)},
        {"metric_versions": result.stamp.metric_versions | {"r2": 2}},
    )
    for change in changes:
        other = _renamed(entries[0], "other", stamp=result.stamp.model_copy(update=change))
        before = {(board.labels_sha256, board.protocol): len(board.rows) for board in boards(entries)}
        with_other = [board for board in boards([*entries, other]) if "other" in {r.entry.name for r in board.rows}]
        assert len(boards([*entries, other])) == 3 or change == {"protocol": "final"}
        assert [len(board.rows) for board in with_other] == ([3] if change == {"protocol": "final"} else [1])
        assert set(before.values()) == {2}
    same = _renamed(entries[0], "other", tasks=_shifted(result, 1.0))
    listed = boards([*entries, same])[0]
    assert listed.rows[0].entry.name == "other"


def test_predictors_trained_elsewhere_stay_off_the_board(board):
    entries = score_all(board)
    ood = _renamed(entries[0], "ood", trained_on="tetris-zoo/seed")
    assert "ood" not in {row.entry.name for board in boards([*entries, ood]) for row in board.rows}


def _drawn(entry: Entry, name: str, mean: float, resamples: np.ndarray) -> Entry:
    """An entry whose tasks all have a score, and whose mean on resamples is given."""
    result = entry.results[0]
    scores = {
        task: scored.model_copy(
            update={"scores": {m: s.model_copy(update={"value": mean}) for m, s in scored.scores.items()}}
        )
        for task, scored in result.tasks.items()
    }
    return _renamed(entry, name, tasks=scores, mean_resamples=resamples.tolist())


def test_ranks_are_shared_where_the_paired_bootstrap_cannot_tell(board):
    """All vary together over resamples: single intervals overlap, and yet the last is surely worse."""
    entry = score_all(board)[0]
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.1, size=1000)
    made = [
        _drawn(entry, "first", 0.91, 0.91 + common + rng.normal(0, 0.02, size=1000)),
        _drawn(entry, "second", 0.90, 0.90 + common + rng.normal(0, 0.02, size=1000)),
        _drawn(entry, "third", 0.70, 0.70 + common + rng.normal(0, 0.02, size=1000)),
    ]
    listed = boards(made)[0]
    assert [(row.entry.name, row.rank, row.ranks) for row in listed.rows] == [
        ("first", 1, (1, 2)),
        ("second", 2, (1, 2)),
        ("third", 3, (3, 3)),
    ]
    assert [rank_text(row) for row in listed.rows] == ["1 (1–2)", "2 (1–2)", "3"]


def test_a_comparison_of_ranks_agrees_with_zoobench_compare(board):
    """R² of the mean over tasks: the same resamples, so the same verdict."""
    entries = {entry.name: entry for entry in score_all(board)}
    one, other = (entries[name].results[0] for name in ("linear-stats", "linear-w"))
    (compared,) = compare(
        *(board / "submissions" / name / "tetris-zoo-tiny" / "seed.parquet" for name in entries),
        homes=[board / "labels"],
    )
    difference = np.array(one.mean_resamples) - np.array(other.mean_resamples)
    value = np.mean([part["r2"].value for part in compared.tasks.values()])
    means = [np.mean([task.scores["r2"].value for task in part.tasks.values()]) for part in (one, other)]
    assert means[0] - means[1] == pytest.approx(abs(value), rel=1e-6)
    assert abs(difference.mean() - (means[0] - means[1])) < difference.std()


def test_the_terminal_shows_the_ranking(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    outcome = zoobench("leaderboard", "show", "--dir", board)
    assert outcome.code == 0
    assert "linear-stats" in outcome.out
