import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from zoobench.scoring.bootstrap import Bootstrap
from zoobench_leaderboard.ranking import boards, overall
from zoobench_leaderboard.results import ScoredSubmission
from zoobench_leaderboard.score import score_all

from .synthetic import renamed, shifted


def test_submissions_are_ordered_by_mean_r2(board):
    entries = score_all(board)
    listed, final = boards(entries)
    assert (listed.protocol, final.protocol) == ("all", "final")
    means = {}
    for entry in entries:
        scores = [task.scores["r2"].value for task in entry.results[0].tasks.values()]
        means[entry.name] = sum(scores) / len(scores)
    assert [row.scored.name for row in listed.rows] == sorted(means, key=means.get, reverse=True)
    assert [row.places["all"].rank for row in listed.rows] == [1, 2]
    assert [row.mean for row in listed.rows] == sorted(means.values(), reverse=True)


def test_partial_submissions_are_shown_and_not_ranked(board):
    entries = score_all(board)
    whole = entries[0].results[0]
    stamp = whole.stamp.model_copy(update={"task_versions": {"accuracy": 1}})
    lacking = whole.model_copy(update={"tasks": {"accuracy": whole.tasks["accuracy"]}, "stamp": stamp})
    partial = renamed(entries[0], "a-partial", [lacking])
    listed = boards([partial, *entries])[0]
    assert listed.rows[-1].scored.name == "a-partial"
    assert (listed.rows[-1].places, listed.rows[-1].mean) == ({}, None)
    assert [row.places["all"].rank for row in listed.rows[:-1]] == [1, 2]
    (alone,) = boards([partial])  # where nobody predicts the other tasks, too
    assert [(row.places, row.mean) for row in alone.rows] == [({}, None)]
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
        stamp = result.stamp.model_copy(update=change)
        other = renamed(entries[0], "other", [result.model_copy(update={"stamp": stamp})])
        with_other = [part for part in boards([*entries, other]) if "other" in {row.scored.name for row in part.rows}]
        expected = 3 if change == {"protocol": "final"} else 1  # there is a board of final checkpoints
        assert [len(part.rows) for part in with_other] == [expected]
    same = renamed(entries[0], "other", [shifted(result, 1.0)])
    listed = boards([*entries, same])[0]
    assert listed.rows[0].scored.name == "other"


def test_predictors_trained_elsewhere_stay_off_the_board(board):
    entries = score_all(board)
    ood = renamed(entries[0], "ood", [shifted(entries[0].results[0], 0.0, trained_on="tetris-zoo/seed")])
    assert "ood" not in {row.scored.name for board in boards([*entries, ood]) for row in board.rows}


def _drawn(entry: ScoredSubmission, name: str, mean: float, resamples: np.ndarray) -> ScoredSubmission:
    """An entry whose tasks all have a score, and whose mean on resamples is given."""
    result = entry.results[0]
    scores = {
        task: scored.model_copy(
            update={"scores": {m: s.model_copy(update={"value": mean}) for m, s in scored.scores.items()}}
        )
        for task, scored in result.tasks.items()
    }
    return renamed(entry, name, [result.model_copy(update={"tasks": scores, "mean_resamples": resamples.tolist()})])


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
    places = [(row.scored.name, str(row.places["all"])) for row in listed.rows]
    assert places == [("first", "1 (1–2)"), ("second", "2 (1–2)"), ("third", "3")]
    assert listed.rows[2].interval == pytest.approx(np.quantile(made[2].results[0].mean_resamples, [0.025, 0.975]))


def test_a_track_is_ranked_without_the_other(board):
    entries = score_all(board)
    first = entries[0].results[0]
    opened = renamed(entries[0], "open", [shifted(first, 0.3)], validation_labels="fitting")
    rows = {row.scored.name: row for row in boards([*entries, opened])[0].rows}
    assert [rows["open"].places[ranking].rank for ranking in ("all", "open")] == [1, 1]
    assert "standard" not in rows["open"].places
    assert sorted(rows[entry.name].places["standard"].rank for entry in entries) == [1, 2]
    assert sorted(rows[entry.name].places["all"].rank for entry in entries) == [2, 3]


def test_over_all_zoos_families_count_alike(board):
    """Two zoos of one family and one of another: the mean of the family's mean and the other's."""
    entry = score_all(board)[0]
    first = entry.results[0]
    zoos = {"tetris-zoo-tiny/seed": 0.0, "mnist-zoo-tiny/seed": 0.2, "mnist-zoo-tiny/fashion-seed": -0.4}
    whole = renamed(entry, "whole", [shifted(first, by, zoo=zoo, trained_on=zoo) for zoo, by in zoos.items()])
    lacking = renamed(entry, "lacking", whole.results[:2])
    (found,) = overall(boards([whole, lacking]))
    assert [(row.scored.name, row.mean is None) for row in found.rows] == [("whole", False), ("lacking", True)]
    by_zoo = {zoo: row.mean for zoo, row in found.rows[0].by_zoo.items()}
    mnist = (by_zoo["mnist-zoo-tiny/seed"] + by_zoo["mnist-zoo-tiny/fashion-seed"]) / 2
    assert found.rows[0].mean == pytest.approx((by_zoo["tetris-zoo-tiny/seed"] + mnist) / 2)
    drawn = [np.array(result.mean_resamples) for result in whole.results]
    resampled = (drawn[0] + (drawn[1] + drawn[2]) / 2) / 2
    assert found.rows[0].interval == pytest.approx(np.quantile(resampled, [0.025, 0.975]))


def test_other_resamples_are_not_compared_and_a_mean_without_end_is_none(board):
    entry = score_all(board)[0]
    first = entry.results[0]
    mnist = {"zoo": "mnist-zoo-tiny/seed", "trained_on": "mnist-zoo-tiny/seed"}
    fewer = {"mean_resamples": first.mean_resamples[:10]}
    same = renamed(entry, "same", [first, shifted(first, 0.0, **mnist)])
    other = renamed(entry, "other", [shifted(first, 1.0, **fewer), shifted(first, 1.0, **mnist)])
    endless = renamed(entry, "endless", [shifted(first, -1.7e308), shifted(first, -1.7e308, **mnist)])
    listed = boards([same, other, endless])
    places = {row.scored.name: str(row.places.get("all", "–")) for row in listed[1].rows}
    assert (listed[1].zoo, places) == ("tetris-zoo-tiny/seed", {"other": "1 (1–2)", "same": "2 (1–2)", "endless": "–"})
    (found,) = overall(listed)
    ends = {row.scored.name: (row.mean is None, row.interval is None) for row in found.rows}
    assert ends == {"other": (False, True), "same": (False, False), "endless": (True, True)}


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


def test_a_track_is_shown_alone(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    assert "linear-w" in zoobench("leaderboard", "show", "--dir", board, "--track", "standard").out
    assert "linear-w" not in zoobench("leaderboard", "show", "--dir", board, "--track", "open").out
    outcome = zoobench("leaderboard", "show", "--dir", board, "--track", "opne")
    assert (outcome.code, outcome.err) == (2, "error: unknown track 'opne'; did you mean 'open'?\n")
