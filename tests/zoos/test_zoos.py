import dataclasses

import pytest

from zoobench.errors import ZoobenchError
from zoobench.zoos import ALL, SCALES, Zoo, resolve, resolve_all
from zoobench.zoos.spec import Conv, Linear

IDS = [
    "small-cnn-zoo/mnist",
    "small-cnn-zoo/fashion_mnist",
    "small-cnn-zoo/cifar10",
    "small-cnn-zoo/svhn",
    "cnn-zoo-2/cifar10",
    "cnn-zoo-2/mnist",
    "cnn-zoo-2/fashion_mnist",
    "cnn-zoo-2/usps",
    "tetris-zoo/seed",
    "tetris-zoo/hyp",
    "mnist-zoo/seed",
    "mnist-zoo/fashion-seed",
    "mnist-zoo/hyp-1-fix-seed",
    "mnist-zoo/hyp-1-rand-seed",
    "mnist-zoo/hyp-5-fix-seed",
    "mnist-zoo/hyp-5-rand-seed",
]


def test_the_sixteen_configs_of_the_design_are_declared():
    assert [spec.id for spec in ALL] == IDS


def test_at_most_one_default_per_repo():
    assert [spec.id for spec in ALL if spec.default] == ["cnn-zoo-2/cifar10", "tetris-zoo/seed", "mnist-zoo/seed"]


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_split_fractions_sum_to_one(spec):
    assert spec.splits.train + spec.splits.validation + spec.splits.test == pytest.approx(1)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_the_last_layer_has_one_output_per_class(spec):
    last = [layer for layer in spec.network.layers if isinstance(layer, Conv | Linear)][-1]
    assert last.outputs == spec.images.classes


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("tetris-zoo/seed", None, "tetris-zoo/seed"),
        ("tetris-zoo", None, "tetris-zoo/seed"),
        ("zoobench/tetris-zoo", None, "tetris-zoo/seed"),
        ("mnist-zoo/seed", "lite", "mnist-zoo-lite/seed"),
        ("mnist-zoo-lite/seed", None, "mnist-zoo-lite/seed"),
        ("mnist-zoo-lite", "lite", "mnist-zoo-lite/seed"),
        ("cnn-zoo-2-tiny", None, "cnn-zoo-2-tiny/cifar10"),
    ],
)
def test_a_name_and_a_scale_resolve_to_one_zoo(name, scale, expected):
    assert resolve(name, scale).id == expected


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("tetris-zoo", None, ["tetris-zoo/seed", "tetris-zoo/hyp"]),
        (
            "zoobench/cnn-zoo-2-tiny",
            None,
            [f"cnn-zoo-2-tiny/{name}" for name in ("cifar10", "mnist", "fashion_mnist", "usps")],
        ),
        (
            "small-cnn-zoo",
            "lite",
            [f"small-cnn-zoo-lite/{name}" for name in ("mnist", "fashion_mnist", "cifar10", "svhn")],
        ),
        ("mnist-zoo/fashion-seed", "tiny", ["mnist-zoo-tiny/fashion-seed"]),
    ],
)
def test_a_repo_and_a_scale_resolve_to_all_its_zoos(name, scale, expected):
    assert [zoo.id for zoo in resolve_all(name, scale)] == expected


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("cnn-zoo2/mnist", None, "unknown zoo 'cnn-zoo2/mnist'; did you mean 'cnn-zoo-2/mnist'?"),
        ("tetris-zoo/sed", None, "unknown zoo 'tetris-zoo/sed'; did you mean 'tetris-zoo/seed'?"),
        ("tetris", None, "unknown zoo 'tetris'; did you mean 'tetris-zoo'?"),
        ("tetris-zoo/seed", "lit", "unknown scale 'lit'; did you mean 'lite'?"),
        ("mnist-zoo-lite/seed", "tiny", "zoo 'mnist-zoo-lite/seed' is at scale 'lite', but scale 'tiny' was asked for"),
        ("small-cnn-zoo", None, "zoo 'small-cnn-zoo' has no default config; choose from: "),
    ],
)
def test_a_wrong_name_says_what_would_be_right(name, scale, message):
    with pytest.raises(ZoobenchError) as error:
        resolve(name, scale)
    assert message in str(error.value)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.id)
def test_every_zoo_has_every_scale_and_full_is_the_papers_size(spec):
    scales = dict(spec.scales)
    assert list(scales) == list(SCALES)
    assert scales["full"].checkpoints == spec.published_checkpoints
    assert scales["full"].runs == {"tetris-zoo/hyp": 3600}.get(spec.id, spec.published_runs)
    assert [scale.runs for scale in scales.values()] == sorted((scale.runs for scale in scales.values()), reverse=True)


def test_a_scale_that_cannot_be_built_says_so_and_which_can():
    spec = resolve("cnn-zoo-2/mnist").spec
    without = Zoo(dataclasses.replace(spec, scales=(spec.scales[0], spec.scales[2])), "lite")
    message = "zoo 'cnn-zoo-2/mnist' cannot be built at scale 'lite' by this version; it can at: full, tiny"
    with pytest.raises(ZoobenchError, match=message):
        _ = without.size
