import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from zoobench.resampling import Bootstrap
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
    (alone,) = boards([partial])  # where nobody predicts the other tasks, too
    assert [(row.rank, row.mean) for row in alone.rows] == [(None, None)]
    assert len(alone.tasks) == len(whole.tasks)


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
        with_other = [part for part in boards([*entries, other]) if "other" in {row.entry.name for row in part.rows}]
        expected = 3 if change == {"protocol": "final"} else 1  # there is a board of final checkpoints
        assert [len(part.rows) for part in with_other] == [expected]
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


def test_resampled_means_are_those_of_scikit_learn_on_the_resampled_runs(board):
    entry = score_all(board)[0]
    labels = pd.read_parquet(board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet")
    path = board / "submissions" / entry.name / "tetris-zoo-tiny" / "seed.parquet"
    rows = labels.merge(pd.read_parquet(path), on="example_id", suffixes=("", "_predicted"))
    run = pd.factorize(rows["run_id"])[0]
    columns = {task: "test_accuracy" if task == "accuracy" else task for task in entry.results[0].tasks}
    for number, counts in enumerate(Bootstrap().counts(run.max() + 1)[:4]):
        scores = [
            r2_score(rows[column], rows[task if column != task else f"{task}_predicted"], sample_weight=counts[run])
            for task, column in columns.items()
        ]
        assert entry.results[0].mean_resamples[number] == pytest.approx(np.mean(scores), rel=1e-4)


def test_the_terminal_shows_the_ranking(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    outcome = zoobench("leaderboard", "show", "--dir", board)
    assert outcome.code == 0
    assert "linear-stats" in outcome.out
