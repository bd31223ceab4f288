"""The vocabulary in which zoos are declared: images, networks, hyperparameters, scales, splits.

Frozen dataclasses only. What is done with them lives above: ``layout`` counts parameters, ``images`` loads pixels,
``runs`` enumerates runs, ``population`` trains them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..distributions import Distribution
from .optimizers import Optimizers


@dataclass(frozen=True)
class HubImages:
    """A labelled image data set on the Hub.

    ``folder`` is its name inside a folder given by ``--images`` / ``ZOOBENCH_IMAGES``. ``test_majority`` is the share
    of its test images that belong to their most frequent class. Colours become grey by the mean of the channels, or,
    with ``luma``, by ITU-R BT.601 (as in torchvision's ``Grayscale``).
    """

    folder: str
    hub_id: str
    image_column: str
    classes: int
    test_majority: float
    hub_config: str | None = None
    label_column: str = "label"
    luma: bool = False

    @property
    def drawn(self) -> bool:
        return False

    @property
    def class_outcomes(self) -> tuple[str, ...]:
        return ()

    @property
    def description(self) -> str:
        return ""


@dataclass(frozen=True)
class TetrisImages:
    """Drawn 4x4 grey images, one fixed tetromino per class on a plain background, plus grey noise.

    A pixel is ``background + contrast * [cell in shape] + noise``, clipped to [0, 1] and rounded to 8 bits. The noise
    is N(0, ``train_noise_std``²) in training images and N(0, ``test_noise_std``²) in test images. ``shapes`` maps a
    class name to its (row, column) cells. The draw is fixed by ``seed``.
    """

    shapes: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    background: float
    contrast: float
    train_noise_std: float
    test_noise_std: float
    train_per_class: int
    test_per_class: int
    seed: int

    @property
    def folder(self) -> str:
        return "tetris"

    @property
    def classes(self) -> int:
        return len(self.shapes)

    @property
    def test_majority(self) -> float:
        return 1 / self.classes

    @property
    def drawn(self) -> bool:
        return True

    @property
    def class_outcomes(self) -> tuple[str, ...]:
        return tuple(f"f1_class_{label}" for label in range(self.classes))

    @property
    def description(self) -> str:
        names = ", ".join(f"{label} = {name}" for label, (name, _) in enumerate(self.shapes))
        return (
            f"4×4 grey images, one fixed tetromino per class ({names}; rows of the picture, class mean first).\n"
            f"A pixel is {self.background}, plus {self.contrast} on the shape, plus grey noise, clipped to [0, 1] and "
            f"rounded to 8 bits.\nThe noise is N(0, {self.train_noise_std}²) in training images and "
            f"N(0, {self.test_noise_std}²) in test images, which are harder.\n"
            f"{self.train_per_class} training and {self.test_per_class} test images per class, of which a scale takes "
            "as many as its config says, drawn once and shared by all runs."
        )


# What is asked of either: ``folder``, ``classes`` and ``test_majority``; ``drawn``, if they are made from their
# declaration, so that no release was measured on the same ones; ``class_outcomes``, the columns of their zoos that hold
# an outcome per class, in the order of the classes; ``description``, of how they are drawn, in Markdown.
ImageSource = HubImages | TetrisImages


@dataclass(frozen=True)
class Preprocessing:
    """Grey levels in [0, 1] to network input: ``(x - mean) / std``."""

    mean: float
    std: float


class Layer:
    """One layer of a network; what it computes is said by its entry in ``training.nets.LAYERS``.

    A layer that has parameters has a ``name``, which no other has.
    """

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of its parameters, in ``state_dict`` order: ``<name>.weight``, and ``<name>.bias`` of what
        starts at the run's constant."""
        return {}


@dataclass(frozen=True)
class Linear(Layer):
    name: str
    inputs: int
    outputs: int
    bias: bool = True

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        weight: dict[str, tuple[int, ...]] = {f"{self.name}.weight": (self.outputs, self.inputs)}
        return weight | ({f"{self.name}.bias": (self.outputs,)} if self.bias else {})


@dataclass(frozen=True)
class Conv(Layer):
    """Square 2-D convolution without padding."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        kernel = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {f"{self.name}.weight": kernel, f"{self.name}.bias": (self.outputs,)}


@dataclass(frozen=True)
class MaxPool(Layer):
    size: int


@dataclass(frozen=True)
class Activation(Layer):
    """The run's own activation function (a hyperparameter)."""


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout at the run's own rate (a hyperparameter)."""


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """Mean over all positions: (channels, height, width) -> (channels,)."""


@dataclass(frozen=True)
class Flatten(Layer):
    """(channels, height, width) -> (channels * height * width,), C order."""


@dataclass(frozen=True)
class Network:
    description: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Hyperparameters:
    """What one run was trained with, apart from its seed. The field names are row columns.

    ``init_std`` is ``None`` where the initialiser has no free scale. ``weight_decay`` is the L2 coefficient.
    """

    activation: str
    init: str
    optimizer: str
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0
    dropout: float = 0.0
    train_fraction: float = 1.0
    init_std: float | None = None


@dataclass(frozen=True)
class Training:
    """How a run is trained beside its hyperparameters; the same for all runs of a recipe, unless it varies a field.

    Attributes:
        initial_bias: every bias starts there.
        decoupled_decay: weight decay as in AdamW instead of L2 in the gradient.
        l2_factor: what L2 adds to the gradient is that times the coefficient times the weight: 1 as in ``torch.optim``,
            2 where the penalty is the coefficient times the sum of squares, as in Keras.
        decay_biases: whether biases decay, too.
        drop_last: whether the last batch of an epoch is left out where it is not full.
        optimizers: what the hyperparameter ``optimizer`` stands for.
        initialisers: what values of the hyperparameter ``init`` stand for where it is not the initialiser of that name.
        torch_layers: names of layers whose weights and biases start as PyTorch's modules do, whatever ``init`` is.
    """

    initial_bias: float = 0.0
    decoupled_decay: bool = False
    l2_factor: float = 1.0
    decay_biases: bool = True
    drop_last: bool = False
    optimizers: Optimizers = field(default_factory=Optimizers)
    initialisers: tuple[tuple[str, str], ...] = ()
    torch_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeedSweep:
    """One configuration, seeds 1 ... runs: the seed is the only difference between runs."""

    fixed: Hyperparameters
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class Grid:
    """Every combination of the values of ``axes`` (name, values), each trained with several seeds. A name is that of
    a hyperparameter or of a field of ``Training``.

    ``random_seeds``: every run draws a seed of its own; otherwise every configuration has seeds 1 ... ``seeds``.
    A scale with fewer runs trains a fixed random choice of the configurations.
    """

    fixed: Hyperparameters
    axes: tuple[tuple[str, tuple[str | float, ...]], ...]
    seeds: int
    random_seeds: bool = False
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class RandomSearch:
    """One independent draw from ``ranges`` (name, distribution) per run. A name is that of a hyperparameter or of a
    field of ``Training``.

    ``seed`` is every run's seed; ``None`` gives each run its own.
    """

    fixed: Hyperparameters
    ranges: tuple[tuple[str, Distribution], ...]
    seed: int | None
    training: Training = field(default_factory=Training)


Recipe = SeedSweep | Grid | RandomSearch


@dataclass(frozen=True)
class Scale:
    """How much is trained, and by which recipe.

    ``checkpoints`` are the stored epochs; 0 would be the untrained network. ``train_images`` / ``test_images``: how
    many images of the source are used, ``None`` for all; of drawn images, equally many of each class.
    ``image_shrink``: blocks of that many pixels squared become their mean. ``chunk``: runs that are trained together.
    ``rows_sha256``: of the rows (see ``data.contents``), where every build gives the same; "" where that is not known.
    """

    recipe: Recipe
    runs: int
    checkpoints: tuple[int, ...]
    chunk: int
    train_images: int | None = None
    test_images: int | None = None
    image_shrink: int = 1
    rows_sha256: str = ""


@dataclass(frozen=True)
class Splits:
    """Fractions of runs in each split; ``folds`` > 0 also numbers train runs for cross-validation.

    ``by`` says what is never divided: a run, or all runs of a seed, which begin with the same weights.
    """

    train: float
    validation: float
    test: float
    folds: int = 0
    by: Literal["run", "seed"] = "run"


@dataclass(frozen=True)
class Paper:
    key: str
    title: str
    authors: str
    year: int
    venue: str
    url: str


@dataclass(frozen=True)
class ZooSpec:
    """One dataset config: everything that is known about a zoo before it is built.

    ``gap_of`` is the column from which the test accuracy is subtracted to give the generalization gap:
    ``train_accuracy``, or ``running_train_accuracy`` where the paper takes that of the epoch in which the network was
    trained. ``published_runs``, ``published_checkpoints`` and ``published_rows`` are the size in the paper or its
    release, where rows of crashed runs may be missing. ``varies`` lists the hyperparameter columns that differ between
    runs. ``scales`` holds the sizes at which this version can train the zoo.
    """

    repo: str
    config: str
    images: ImageSource
    preprocessing: Preprocessing
    network: Network
    published_runs: int
    published_checkpoints: tuple[int, ...]
    published_rows: int
    varies: tuple[str, ...]
    splits: Splits
    paper: Paper
    summary: str
    scales: tuple[tuple[str, Scale], ...]
    also_known_as: str = ""
    default: bool = False
    deviations: tuple[str, ...] = ()
    gap_of: Literal["train_accuracy", "running_train_accuracy"] = "train_accuracy"

    @property
    def id(self) -> str:
        """``repo/config``, without a scale suffix."""
        return f"{self.repo}/{self.config}"
