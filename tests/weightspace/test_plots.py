import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from zoobench.building.build import build
from zoobench.data.hub import row_files
from zoobench.weightspace import plots
from zoobench.zoos import resolve

from ..building.test_build import read_rows


@pytest.fixture
def view(tiny):
    return plots.view(tiny.id, 4, row_files(tiny), limit=60)


@pytest.fixture
def rows(tiny_home):
    return pd.DataFrame(read_rows(tiny_home / "tetris-zoo-tiny")).set_index("example_id")


def test_a_view_has_the_labels_of_all_rows_and_the_weights_of_some(view, rows):
    assert sorted(view.labels["example_id"]) == sorted(rows.index)
    assert (len(view.sample), view.weights.shape) == (60, (60, 100))
    assert view.sample["example_id"].is_unique
    stored = rows.loc[view.sample["example_id"]]
    np.testing.assert_array_equal(view.weights, np.stack(stored["weights"].to_list()).astype(np.float32))
    np.testing.assert_array_equal(view.sample["test_accuracy"], stored["test_accuracy"])
    assert set(view.sample["epoch"]) == {1, 2, 3, 4, 5, 6}  # not every sixth row


def test_the_distribution_is_that_of_the_last_checkpoint_and_of_all(view, rows):
    (axes,) = plots.accuracy(view).axes
    last = rows[rows["epoch"] == 6]["test_accuracy"]
    expected = np.histogram(last, bins=50, range=(0, 1))[0] / len(last)
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches[:50]], expected)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["last checkpoint (epoch 6)", "all checkpoints", "chance"]
    assert list(axes.lines[0].get_xdata()) == [0.25, 0.25]


def test_train_against_test_accuracy_shows_the_sampled_rows(view, rows):
    axes = plots.train_test(view).axes[0]
    shown = np.asarray(axes.collections[0].get_offsets())
    expected = rows.loc[view.sample["example_id"], ["train_accuracy", "test_accuracy"]].to_numpy()
    np.testing.assert_allclose(np.unique(shown, axis=0), np.unique(expected, axis=0))


def test_learning_curves_show_the_median_run(view, rows):
    (axes,) = plots.learning_curves(view).axes
    median = rows.groupby("epoch")["test_accuracy"].median()
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), median)
    assert list(axes.lines[-1].get_xdata()) == [1, 2, 3, 4, 5, 6]


def test_weights_are_shown_by_their_first_two_principal_components(view):
    left = plots.weights(view).axes[0]
    shown = np.asarray(left.collections[0].get_offsets())
    expected = PCA(2, svd_solver="full").fit_transform(view.weights.astype(np.float64))
    for axis in range(2):
        assert abs(np.corrcoef(shown[:, axis], expected[:, axis])[0, 1]) > 0.999
        assert shown[:, axis].std() == pytest.approx(expected[:, axis].std(), rel=1e-2)
        assert np.median(shown[:, axis]) == pytest.approx(0, abs=1e-6)


def test_initialisers_are_told_apart_where_they_vary(view):
    inits = np.where(np.arange(60) < 20, "uniform", "normal")
    varied = plots.View(view.title, 4, view.labels, view.sample.assign(init=inits), view.weights)
    right = plots.weights(varied).axes[1]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["normal", "uniform"]
    assert [len(points.get_offsets()) for points in right.collections] == [40, 20]


def test_far_away_runs_do_not_squeeze_the_others(view):
    wide = plots.View(view.title, 4, view.labels, view.sample, view.weights * np.logspace(0, 6, 60)[:, None])
    assert plots.weights(wide).axes[0].get_xscale() == "symlog"
    assert plots.weights(view).axes[0].get_xscale() == "linear"


def test_weights_whose_squares_overflow_are_drawn(view):
    huge = plots.View(view.title, 4, view.labels, view.sample, view.weights * np.float32(1e30))
    shown = np.asarray(plots.weights(huge).axes[0].collections[0].get_offsets())
    plain = np.asarray(plots.weights(view).axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(np.abs(shown), np.abs(plain) * 1e30, rtol=1e-2, atol=1e28)


def test_the_pictures_of_a_zoo_are_on_its_card(tiny_home):
    folder = tiny_home / "tetris-zoo-tiny"
    card = (folder / "README.md").read_text()
    for name in (*plots.PICTURES, "images"):
        assert f"](pictures/seed-{name}.png)" in card
        with Image.open(folder / "pictures" / f"seed-{name}.png") as picture:
            assert picture.size[0] > 300
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def _broken(view):
    raise RuntimeError("no font\nat all")


def test_a_picture_that_cannot_be_drawn_is_left_out_with_one_warning(view, tmp_path):
    pictures = {"accuracy": plots.accuracy, "one": _broken, "two": _broken}
    with pytest.warns(plots.PictureWarning) as told:
        paths = plots.write_pictures(view, tmp_path / "p", "seed", pictures)
    assert paths == [tmp_path / "p" / "seed-accuracy.png"]
    assert [str(warning.message) for warning in told] == [
        f"pictures of {view.title} are left out: one, two (RuntimeError: no font)"
    ]


def test_a_build_goes_on_without_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "save", lambda figure, path: _broken(figure))
    with pytest.warns(plots.PictureWarning, match="pictures of tetris-zoo-tiny/seed are left out: accuracy, "):
        folder = build(resolve("tetris-zoo-tiny/seed"), tmp_path)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "seed-accuracy.png" not in card
    assert len(read_rows(folder)) > 0


def test_plot_zoo_says_what_it_could_not_draw_after_the_rest(tiny, zoobench, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "PICTURES", {"accuracy": plots.accuracy, "one": _broken})
    monkeypatch.setattr(plots, "MORE_PICTURES", {})
    outcome = zoobench("plot", "zoo", tiny.id, "--out", tmp_path)
    assert (outcome.code, outcome.out) == (2, f"{tmp_path / 'seed-accuracy.png'}\n")
    assert outcome.err == f"error: cannot draw in {tmp_path}: one (RuntimeError: no font)\n"


def test_plot_zoo_writes_every_picture(tiny, zoobench, tmp_path):
    outcome = zoobench("plot", "zoo", tiny.id, "--out", tmp_path / "pictures")
    assert outcome.code == 0
    names = [*plots.PICTURES, *plots.MORE_PICTURES]
    assert outcome.out.split() == [str(tmp_path / "pictures" / f"seed-{name}.png") for name in names]
    assert sorted(path.stem for path in (tmp_path / "pictures").iterdir()) == sorted(f"seed-{name}" for name in names)
    assert "weights-umap" in names


def test_a_place_where_pictures_cannot_be_written_is_one_line(tiny, zoobench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = zoobench("plot", "zoo", tiny.id, "--out", tmp_path / "file")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: cannot write pictures to {tmp_path / 'file'}: ")
    assert outcome.err.count("\n") == 1
