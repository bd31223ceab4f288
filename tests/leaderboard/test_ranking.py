import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from zoobench_leaderboard.ranking import boards, overall
from zoobench_leaderboard.score import score_all
from zoobench_leaderboard.scored import ScoredSubmission

from .synthetic import mean_of, renamed, shifted


def test_submissions_are_ordered_by_mean_skill(board):
    """Negative R² counts as nothing, and four F1 as one target."""
    entries = score_all(board)
    (listed, final) = boards(entries)
    assert (listed.protocol, final.protocol) == ("all", "final")
    means = {}
    for entry in entries:
        skill = {name: max(task.scores["r2"].value, 0) for name, task in entry.results[0].tasks.items()}
        f1 = np.mean([skill.pop(f"f1_class_{k}") for k in range(4)])
        means[entry.name] = np.mean([*skill.values(), f1])
    assert [row.scored.name for row in listed.rows] == sorted(means, key=means.get, reverse=True)
    assert [row.places["all"].rank for row in listed.rows] == [1, 2]
    assert [row.mean for row in listed.rows] == pytest.approx(sorted(means.values(), reverse=True))


def test_final_checkpoints_of_a_seed_zoo_are_not_ranked(board):
    listed, final = boards(score_all(board))
    assert (listed.ranked, final.ranked) == (True, False)
    assert [row.places for row in final.rows] == [{}, {}]
    assert [(one.protocol, len(one.rows)) for one in overall([listed, final])] == [("all", 2), ("final", 0)]


def test_one_score_far_below_nothing_decides_no_board(board):
    entry = score_all(board)[0]
    result = entry.results[0]
    accuracy = result.tasks["accuracy"]
    scores = accuracy.scores | {
        "r2": accuracy.scores["r2"].model_copy(update={"value": -20.5}),
        "skill": accuracy.scores["skill"].model_copy(update={"value": 0.0}),
    }
    tasks = result.tasks | {"accuracy": accuracy.model_copy(update={"scores": scores})}
    poor = renamed(entry, "poor", [result.model_copy(update={"tasks": tasks})])
    one, other = boards([entry, poor])[0].rows
    assert (one.scored.name, other.scored.name) == (entry.name, "poor")
    assert one.mean - other.mean == pytest.approx(accuracy.scores["skill"].value / 4)


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


def _varying(entry: ScoredSubmission, name: str, mean: float, runs: np.ndarray) -> ScoredSubmission:
    """An entry whose tasks all have a score, and whose mean is that of so many runs."""
    result = entry.results[0]
    scores = {
        task: scored.model_copy(
            update={"scores": {m: s.model_copy(update={"value": mean}) for m, s in scored.scores.items()}}
        )
        for task, scored in result.tasks.items()
    }
    varied = runs - runs.mean() + mean
    changed = {"tasks": scores, "mean": mean_of((varied.sum() - varied) / (len(runs) - 1))}
    return renamed(entry, name, [result.model_copy(update=changed)])


def test_ranks_are_shared_where_the_difference_on_the_same_runs_does_not_tell(board):
    """All vary together over runs: single intervals overlap, and yet the last is surely worse."""
    entry = score_all(board)[0]
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, size=100)
    runs = {name: common + rng.normal(0, 0.2, size=100) for name in ("first", "second", "third")}
    made = [
        _varying(entry, name, mean, runs[name]) for name, mean in (("first", 0.61), ("second", 0.60), ("third", 0.40))
    ]
    listed = boards(made)[0]
    places = [(row.scored.name, str(row.places["all"])) for row in listed.rows]
    assert places == [("first", "1 (1–2)"), ("second", "2 (1–2)"), ("third", "3")]
    low, high = listed.rows[2].interval
    assert (low + high) / 2 == pytest.approx(0.40)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 99) * stats.sem(runs["third"]), rel=0.02)
    pairs = [stats.sem(runs[a] - runs[b]) for a, b in (("first", "second"), ("first", "third"), ("second", "third"))]
    power = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert listed.detectable == pytest.approx(power * np.median(pairs), rel=1e-3)


def test_a_track_is_ranked_without_the_other(board):
    entries = score_all(board)
    first = entries[0].results[0]
    opened = renamed(entries[0], "open", [shifted(first, 0.3)], validation_labels="fitting")
    rows = {row.scored.name: row for row in boards([*entries, opened])[0].rows}
    assert [rows["open"].places[ranking].rank for ranking in ("all", "open")] == [1, 1]
    assert "standard" not in rows["open"].places
    assert sorted(rows[entry.name].places["standard"].rank for entry in entries) == [1, 2]
    assert sorted(rows[entry.name].places["all"].rank for entry in entries) == [2, 3]


def _on(entry, name, **by):
    """An entry on other zoos, its scores moved."""
    first = entry.results[0]
    return renamed(entry, name, [shifted(first, move, zoo=ZOOS[zoo], trained_on=ZOOS[zoo]) for zoo, move in by.items()])


ZOOS = {"tetris": "tetris-zoo-tiny/seed", "mnist": "mnist-zoo-tiny/seed", "fashion": "mnist-zoo-tiny/fashion-seed"}


def test_over_all_zoos_families_count_alike(board):
    """Two zoos of one family and one of another: the mean of the family's mean and the other's."""
    entry = score_all(board)[0]
    whole = _on(entry, "whole", tetris=0.0, mnist=0.1, fashion=-0.1)
    (found,) = overall(boards([whole, _on(entry, "lacking", tetris=0.0, mnist=0.1)]))
    means = {zoo: row.mean for zoo, row in found.rows[0].by_zoo.items()}
    mnist = (means[ZOOS["mnist"]] + means[ZOOS["fashion"]]) / 2
    assert [row.scored.name for row in found.rows] == ["whole", "lacking"]
    assert found.rows[0].mean == pytest.approx((means[ZOOS["tetris"]] + mnist) / 2)
    # What is not predicted counts as nothing.
    assert found.rows[1].mean == pytest.approx((means[ZOOS["tetris"]] + means[ZOOS["mnist"]] / 2) / 2)
    low, high = found.rows[0].interval
    # Zoos are independent of each other: half of the variance of one, and two eighths of half.
    errors = [row.interval[1] - row.interval[0] for row in found.rows[0].by_zoo.values()]
    assert high - low < max(errors)


def test_another_zoo_takes_nobodys_rank_away(board):
    """It counts once half of the submissions are ranked on it."""
    entry = score_all(board)[0]
    old = [_on(entry, f"old-{k}", tetris=k / 100, mnist=k / 100) for k in range(3)]
    first = _on(entry, "first", tetris=-0.1, mnist=-0.1, fashion=0.1)
    (before,), (after,) = overall(boards(old)), overall(boards([*old, first]))
    assert after.zoos == before.zoos
    kept = [(row.scored.name, row.mean, row.places["all"].rank) for row in after.rows[:3]]
    assert kept == [(row.scored.name, row.mean, row.places["all"].rank) for row in before.rows]
    (counted,) = overall(boards([*old, first, _on(entry, "second", tetris=0.0), _on(entry, "third", fashion=0.0)]))
    assert ZOOS["fashion"] not in counted.zoos
    assert all(row.places["all"].rank for row in counted.rows if row.scored.name != "third")


def test_other_groups_of_runs_are_not_compared(board):
    entry = score_all(board)[0]
    first = entry.results[0]
    other = renamed(entry, "other", [shifted(first, 0.3, mean=mean_of(np.array([*first.mean.without, 0.5]) + 0.3))])
    unknown = renamed(entry, "unknown", [shifted(first, 0.2, mean=None)])
    listed = boards([entry, other, unknown])[0]
    places = {row.scored.name: (str(row.places["all"]), row.interval is None) for row in listed.rows}
    assert places == {"other": ("1 (1–3)", False), "unknown": ("2 (1–3)", True), entry.name: ("3 (1–3)", False)}


def test_means_without_each_run_are_those_of_scikit_learn(board):
    entry = score_all(board)[0]
    labels = pd.read_parquet(board / "labels" / "tetris-zoo-tiny" / "labels" / "seed" / "test.parquet")
    path = board / "submissions" / entry.name / "tetris-zoo-tiny" / "seed.parquet"
    rows = labels.merge(pd.read_parquet(path), on="example_id", suffixes=("", "_predicted"))
    run = pd.factorize(rows["run_id"])[0]
    expected = []
    for left_out in range(run.max() + 1):
        kept = rows[run != left_out]
        skill = {
            task: max(r2_score(kept[column], kept[task if column != task else f"{task}_predicted"]), 0)
            for task in entry.results[0].tasks
            for column in ["test_accuracy" if task == "accuracy" else task]
        }
        f1 = np.mean([skill.pop(f"f1_class_{k}") for k in range(4)])
        expected.append(np.mean([*skill.values(), f1]))
    assert sorted(entry.results[0].mean.without) == pytest.approx(sorted(expected), abs=1e-6)


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
