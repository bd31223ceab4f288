from zoobench.results import ZooResult
from zoobench_leaderboard.ranking import boards
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
    (listed,) = boards(entries)
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
    (listed,) = boards([partial, *entries])
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
        assert len(boards([*entries, other])) == 2
    same = _renamed(entries[0], "other", tasks=_shifted(result, 1.0))
    (listed,) = boards([*entries, same])
    assert listed.rows[0].entry.name == "other"


def test_predictors_trained_elsewhere_stay_off_the_board(board):
    entries = score_all(board)
    ood = _renamed(entries[0], "ood", trained_on="tetris-zoo/seed")
    (listed,) = boards([*entries, ood])
    assert "ood" not in {row.entry.name for row in listed.rows}


def test_the_terminal_shows_the_ranking(zoobench, board):
    zoobench("leaderboard", "score", "--dir", board)
    outcome = zoobench("leaderboard", "show", "--dir", board)
    assert outcome.code == 0
    assert "linear-stats" in outcome.out
