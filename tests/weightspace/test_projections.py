import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from zoobench.weightspace.projections import plane, scatter_by, umap_plane


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(60, 5)) * [9, 5, 3, 2, 1]


def test_the_plane_is_that_of_the_covariance_eigenvectors(vectors):
    points, explained = plane(vectors)
    expected = PCA(2, svd_solver="full").fit(vectors)
    np.testing.assert_allclose(np.abs(points), np.abs(expected.transform(vectors)), atol=1e-6)
    assert explained == pytest.approx(expected.explained_variance_ratio_.sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_whose_squares_overflow_keep_their_plane(vectors, dtype):
    points, explained = plane((vectors * 1e30).astype(dtype))
    expected, share = plane(vectors)
    np.testing.assert_allclose(points, expected * 1e30, rtol=1e-3, atol=1e26)
    assert explained == pytest.approx(share, rel=1e-3)


def test_vectors_that_are_all_zero_are_at_one_point():
    with np.errstate(invalid="ignore"):
        points, _ = plane(np.zeros((6, 3), np.float32))
    assert (points == 0).all()


def test_vectors_of_one_number_lie_on_a_line(vectors):
    points, explained = plane(vectors[:, :1])
    np.testing.assert_allclose(np.abs(points[:, 0]), np.abs(vectors[:, 0] - vectors[:, 0].mean()))
    assert (points[:, 1] == 0).all()
    assert explained == pytest.approx(1)


def test_umap_keeps_groups_apart_and_does_the_same_again():
    vectors, group = make_blobs([30, 30, 30], 10, random_state=0)
    points = umap_plane(vectors.astype(np.float32))
    assert points.shape == (90, 2)
    assert silhouette_score(points, group) > 0.5
    np.testing.assert_array_equal(umap_plane(vectors.astype(np.float32)), points)


def test_numbers_are_coloured_beside_a_bar_and_names_beside_a_legend(vectors):
    points = vectors[:, :2]
    values = pd.DataFrame({"test_accuracy": points[:, 0], "init": ["uniform", "normal", None] * 20})
    left, right = Figure().subplots(1, 2)
    scatter_by(left, points, values["test_accuracy"])
    np.testing.assert_allclose(left.collections[0].get_array(), points[:, 0])
    assert left.get_legend() is None
    assert left.figure.axes[-1].get_ylabel() == "test accuracy"
    scatter_by(right, points, values["init"])
    legend = right.get_legend()
    assert (legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]) == (
        "init",
        ["normal", "uniform"],
    )
    normal, uniform = right.collections
    np.testing.assert_array_equal(normal.get_offsets(), points[1::3])
    np.testing.assert_array_equal(uniform.get_offsets(), points[::3])
