import json

import pytest

from zoobench.scoring.results import Score
from zoobench_leaderboard.lines import laid_out, row_of, score_of_row


@pytest.mark.parametrize(
    ("score", "row"),
    [
        (Score(value=0.5), [0.5]),
        (Score(value=0.5, low=0.4, high=0.6), [0.5, 0.4, 0.6]),
        (Score(value=0.5, low=0.4, high=0.6, spread=0.1), [0.5, 0.4, 0.6, 0.1]),
        (Score(value=None, reason="why"), [None, None, None, None, "why"]),
        (Score(value=None), [None]),
    ],
)
def test_a_score_is_a_row_and_a_row_is_a_score(score, row):
    assert row_of(score) == row
    assert score_of_row(row) == score


def test_scores_of_single_seeds_are_left_out():
    assert row_of(Score(value=0.5, by_seed=[0.4, 0.6])) == [0.5]


@pytest.mark.parametrize("row", [[], [1, 2, 3, 4, "five", 6], ["much"]])
def test_other_rows_are_no_score(row):
    with pytest.raises(ValueError, match=r"score|Score"):
        score_of_row(row)


def test_objects_have_a_line_for_each_item_and_lists_one_for_all():
    content = {"a": {"b": [1, [2, None]], "ç": {}}, "list": [{"x": 1}, {"x": "\n"}], "none": [], "rows": [[1], [2]]}
    text = laid_out(content)
    assert json.loads(text) == content
    assert (
        text
        == """{
 "a": {
  "b": [1, [2, null]],
  "ç": {}
 },
 "list": [
  {
   "x": 1
  },
  {
   "x": "\\n"
  }
 ],
 "none": [],
 "rows": [[1], [2]]
}"""
    )


def test_what_json_has_no_number_for_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        laid_out({"a": float("nan")})
