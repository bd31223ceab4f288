"""Tables of Schürholt 2021 on our zoos beside the paper's, and pictures of hyper-representations.

    python -m reproductions.hyperrep [--tables 1,2,3,4,5,6,7,sizes] [--size cpu] [--scale lite]

The Tetris zoos are taken at ``--tetris`` (full), the others at ``--scale``. ``--size`` says how long and how wide is
trained (``SIZES`` in ``hyperrep_experiments``). Models and predictions stay in ``--work`` (build/hyperrep), numbers in
docs/reproduction/hyperrep.json, and what is there is not computed again; with ``--untrained``, what would have to be
trained is left out. Tables go into ``--document`` (docs/reproduction/hyperrep.md), between its two marks; pictures into
docs/reproduction/hyperrep/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from zoobench.data import hub
from zoobench.publishing.documents import table, write
from zoobench.scoring.metrics import BY_NAME
from zoobench.weightspace import embeddings
from zoobench.zoos import Zoo
from zoobench_baselines.encoding import load_encoder, vectors
from zoobench_baselines.hyperrep.augment import Augmentation
from zoobench_leaderboard.literature import SCHURHOLT, reported

from .hyperrep_experiments import SIZES, WITHIN, Experiments, Predicted, Representation, within
from .reproduction import (
    ABSENT,
    DOCUMENTS,
    ERRORS_BY_NORM,
    Kept,
    Work,
    about,
    add_tables,
    built,
)
from .schurholt_tables import (
    ARCHITECTURES,
    AUGMENTATIONS,
    LOSSES,
    MNIST_LOSS,
    MNIST_RECONSTRUCTION,
    MNIST_VARIANCES,
    RECONSTRUCTION,
    REDUCED,
    TETRIS_TASKS,
    TRANSFER,
)

TITLE = "Hyper-representations: Schürholt et al. 2021 on our zoos"
# Of z on the Tetris zoos; the first is the reference's.
LATENT_SIZES = (50, 80)
# Table 2: architectures whose tokens are single weights take long, and learning rates do not suit all alike.
_SHORT = {"steps": "2000"}
ARCHITECTURES_AT: Mapping[str, Sequence[Mapping[str, str]]] = {
    "cpu": ({**_SHORT, "learning_rate": "1e-3"}, {**_SHORT, "learning_rate": "1e-4"}),
    "paper": ({},),
    "smoke": ({},),
}
W: Representation = ("W", "linear", {"features": "W"})
# As the authors' code has them: no biases, percentiles without the extremes.
STATISTICS: Representation = ("s(W)", "linear", {"features": "stats-kernels-1-99"})
REDUCTIONS: tuple[Representation, ...] = (
    ("PCA, linear", "pca", {"kernel": "linear"}),
    ("PCA, cosine", "pca", {"kernel": "cosine"}),
    ("PCA, RBF", "pca", {"kernel": "rbf"}),
    ("UMAP", "umap", {}),
)


def ablation(
    experiments: Experiments,
    zoo: Zoo,
    paper: Mapping[str, Sequence[float | None]],
    parameter: str,
    further: Mapping[str, str] | None = None,
) -> list[list[str]]:
    """Tables 1 and 2: each number ours, the paper's in brackets."""
    rows = []
    for name, numbers in paper.items():
        entry = experiments.learned(zoo, {parameter: name, **(further or {})})
        rebuilt = ABSENT if name == "ec" else experiments.reconstruction(entry)
        ours = [rebuilt, *(experiments.value(entry, task) for task in TETRIS_TASKS)]
        theirs = [ABSENT if number is None else f"{number / 100:.3f}" for number in numbers]
        rows.append([f"`{name}`", *(f"{a} ({b})" for a, b in zip(ours, theirs, strict=True))])
    return rows


def table_1(experiments: Experiments, tetris: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    head = ["loss", "reconstruction", *TETRIS_TASKS]
    return (
        f"**Table 1**, losses on `{tetris[0].id}`.\n\n{table(head, ablation(experiments, tetris[0], LOSSES, 'loss'))}"
    )


def table_2(experiments: Experiments, tetris: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    head = ["architecture", "reconstruction", *TETRIS_TASKS]
    parts = [f"**Table 2**, architectures, EcD on `{tetris[0].id}`."]
    for further in ARCHITECTURES_AT[experiments.size]:
        rows = ablation(experiments, tetris[0], ARCHITECTURES, "architecture", further)
        parts += [f"With {', '.join(f'{name} {text}' for name, text in further.items())}:"] if further else []
        parts.append(table(head, rows))
    return "\n\n".join(parts)


def table_3(experiments: Experiments, tetris: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    def rebuilt(loss: str, letters: str) -> str:
        parameters = {
            "permute": str(int("P" in letters)),
            "erase": "0.5" if "E" in letters else "0.0",
            "noise": "0.05" if "N" in letters else "0.0",
        }
        # What the other tables train has these, too: one entry for both.
        same = {"permute": "1", "erase": "0.5", "noise": "0.0"}
        changed = {name: text for name, text in parameters.items() if text != same[name]}
        return experiments.reconstruction(experiments.learned(tetris[0], {"loss": loss, **changed}))

    rows = []
    for loss, numbers in RECONSTRUCTION.items():
        texts = [
            f"{rebuilt(loss, letters)} ({number / 100:.3f})"
            for letters, number in zip(AUGMENTATIONS, numbers, strict=True)
        ]
        rows.append([f"`{loss}`", *texts])
    head = ["loss", *(letters or "none" for letters in AUGMENTATIONS)]
    title = f"**Table 3**, test reconstruction R² by augmentations on `{tetris[0].id}`"
    return f"{title}: permutation (P), erasing (E), noise (N).\n\n{table(head, rows)}"


def compared(experiments: Experiments, zoo: Zoo, losses: Sequence[str], entries: Sequence[Representation]) -> str:
    """One zoo: representations as columns, tasks as rows; what the first loss's has over W and s(W).

    The paper's tables have one loss, which stands first here: it reports the better of EcD and Ec+D (sec. 4.3).
    """
    paper: dict[str, dict[str, float]] = {}
    for number in reported(zoo.spec.id):
        if number.source == SCHURHOLT:
            paper.setdefault(number.task, {})[number.method] = number.value
    learned = {loss: experiments.learned(zoo, {"loss": loss}) for loss in losses}
    first = losses[0]
    others = {entry[0]: experiments.other(zoo, entry) for entry in entries}
    rows = []
    for task in paper:
        reduced = REDUCED.get(zoo.spec.config, {}).get(task, ()) if zoo.spec.repo == "tetris-zoo" else ()
        theirs = {name: f"{number / 100:.3f}" for (name, *_), number in zip(REDUCTIONS, reduced, strict=False)}
        theirs |= {name: f"{paper[task][name]:.3f}" for name in ("W", "s(W)")}
        texts = [f"{experiments.value(entry, task)} ({theirs.get(name, ABSENT)})" for name, entry in others.items()]
        texts += [experiments.value(entry, task) for entry in learned.values()]
        texts[len(others)] += f" ({paper[task]['hyper-representation']:.3f})"
        texts += [experiments.over(learned[first], others[name], task) for name in ("W", "s(W)")]
        rows.append([task, *texts])
    head = ["task", *others, *(f"`{loss}`" for loss in losses), f"`{first}` over W", f"`{first}` over s(W)"]
    return (
        f"`{zoo.id}`, {BY_NAME['r2'].label}, or accuracy for classes; the paper's in brackets.\n\n{table(head, rows)}"
    )


def table_4(experiments: Experiments, mnist: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    parts = []
    rows = []
    for zoo in mnist:
        # The paper's loss first, and EcD on all, so that zoos can be compared.
        losses = tuple(dict.fromkeys((MNIST_LOSS[zoo.spec.config], "ecd")))
        parts.append(compared(experiments, zoo, losses, (W, STATISTICS)))
        ecd, ec_d = (
            [experiments.reconstruction(experiments.learned(zoo, {"loss": loss}), split) for split in ("train", "test")]
            for loss in ("ecd", "ec+d")
        )
        *both, apart = variances(hub.load_split(zoo, "train"))
        ours = [*(f"{variance:.3f}" for variance in both), *ec_d]
        theirs = [*MNIST_VARIANCES[zoo.spec.config], *(r2 / 100 for r2 in MNIST_RECONSTRUCTION[zoo.spec.config])]
        beside = [f"{a} ({b:.3f})" for a, b in zip(ours, theirs, strict=True)]
        moderate = experiments.reconstruction(experiments.learned(zoo, {"loss": "ecd"}), moderate=True)
        rows.append([f"`{zoo.id}`", *beside, *ecd, f"{apart:.0%}", moderate])
    rebuilt = [f"`{loss}` rebuilds {split}" for loss in ("ec+d", "ecd") for split in ("train", "test")]
    head = ["zoo", "VAR", "VAR_c", *rebuilt, "too large", "`ecd` rebuilds other test"]
    said = (
        "**Table 4**, generating factors of the MNIST zoos. VAR: variance of a weight over the train networks, mean "
        "over weights; VAR_c: that within groups of one initialiser and activation, mean over groups. Networks with a "
        f"weight of more than {WITHIN} times the largest of the median train network are too large and left "
        "out of both and of the last column."
    )
    return "\n\n".join([said, table(head, rows), *parts, by_norm(experiments, mnist, ("ecd",))])


def variances(networks: hub.ZooSplit) -> tuple[float, float, float]:
    """VAR and VAR_c of Table 4, and the share of networks that are left out of them.

    The paper does not say over what the variance is taken. That a fixed seed lowers VAR_c (sec. 4.3) says that it is
    over networks, of each weight by itself.
    """
    kept = within(networks.weights, networks.weights)
    weights = networks.weights[kept].astype(np.float64)
    groups = networks.labels[kept].groupby(["init", "activation"]).indices.values()
    of_groups = [weights[rows].var(axis=0).mean() for rows in groups]
    return float(weights.var(axis=0).mean()), float(np.mean(of_groups)), float(1 - kept.mean())


def table_5(experiments: Experiments, tetris: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    parts = [compared(experiments, zoo, ("ecd",), (W, *REDUCTIONS, STATISTICS)) for zoo in tetris]
    return "\n\n".join(["**Table 5**, the Tetris zoos.", *parts])


def table_6(experiments: Experiments, large: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    losses = ("ecd", "ec+d")
    parts = [compared(experiments, zoo, losses, (W, STATISTICS)) for zoo in large]
    return "\n\n".join(["**Table 6**, the Small CNN Zoo.", *parts, by_norm(experiments, large, losses)])


def by_norm(experiments: Experiments, zoos: Sequence[Zoo], losses: Sequence[str]) -> str:
    """How far networks of large weights decide what each representation's error of accuracy is."""
    entries = {entry[0]: [experiments.other(zoo, entry) for zoo in zoos] for entry in (W, STATISTICS)}
    entries |= {f"`{loss}`": [experiments.learned(zoo, {"loss": loss}) for zoo in zoos] for loss in losses}
    rows = [[name, *map(experiments.errors, predicted)] for name, predicted in entries.items()]
    errors = table(["representation", *(zoo.spec.config for zoo in zoos)], rows)
    return f"Errors of accuracy. {ERRORS_BY_NORM}\n\n{errors}"


def table_7(experiments: Experiments, large: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    methods: dict[str, Callable[[Zoo], Predicted]] = {
        "W": lambda zoo: experiments.transferred(zoo, W, large),
        "s(W)": lambda zoo: experiments.transferred(zoo, STATISTICS, large),
        "`ec+d`": lambda zoo: experiments.learned(zoo, {"loss": "ec+d"}, large),
    }
    parts = ["**Table 7**, Kendall's τ-b of the generalization gap; rows trained on, columns tested on."]
    for k, (name, predicted) in enumerate(methods.items()):
        rows = []
        for origin in large:
            theirs = TRANSFER[origin.spec.config]
            texts = [f"{experiments.tau(predicted(origin), zoo)} ({theirs[zoo.spec.config][k]:.2f})" for zoo in large]
            rows.append([origin.spec.config, *texts])
        parts.append(f"{name}\n\n{table(['trained on', *(zoo.spec.config for zoo in large)], rows)}")
    return "\n\n".join(parts)


def table_of_sizes(experiments: Experiments, tetris: Sequence[Zoo], **_: Sequence[Zoo]) -> str:
    """What L numbers can hold of a network: ED and, as a linear measure, principal components."""
    zoo = tetris[0]
    train, test = (hub.load_split(zoo, split) for split in ("train", "test"))
    permuted = Augmentation(train.layout, permute=True, erase=0.0, noise=0.0)
    drawn = permuted(torch.tensor(train.weights), torch.Generator().manual_seed(0)).numpy()
    rows = []
    for size in LATENT_SIZES:
        components = PCA(size).fit(drawn)
        rebuilt = components.inverse_transform(components.transform(test.weights))
        linear = r2_score(test.weights, rebuilt, multioutput="variance_weighted")
        of_size = {} if size == LATENT_SIZES[0] else {"latent": str(size)}
        entry = experiments.learned(zoo, {"loss": "ed", **of_size})
        texts = [experiments.reconstruction(entry), experiments.value(entry, "accuracy")]
        rows.append([str(size), f"{linear:.3f}", *texts])
    head = ["L", "PCA of permuted networks", "`ed`", "`ed`, accuracy"]
    return (
        f"**Sizes of z**, test reconstruction R² on `{zoo.id}` ({len(test.weights[0])} weights).\n\n{table(head, rows)}"
    )


TABLES: Mapping[str, Callable[..., str]] = {
    "1": table_1,
    "2": table_2,
    "3": table_3,
    "4": table_4,
    "5": table_5,
    "6": table_6,
    "7": table_7,
    "sizes": table_of_sizes,
}


def draw_maps(experiments: Experiments, zoo: Zoo, kinds: Sequence[str]) -> None:
    """Figure 4: maps of the test networks' weights and z, coloured by test accuracy and, where it varies, initialiser.

    Drawn is the hyper-representation of EcD, where there is one.
    """
    if (path := experiments.learned(zoo, {"loss": "ecd"}).make()) is None:
        return
    networks = hub.load_split(zoo, "test")
    z = vectors(load_encoder(path.with_suffix("")), networks.layout, networks.weights)
    by = ["init"] if networks.labels["init"].nunique() > 1 else []
    folder = DOCUMENTS / "hyperrep" / f"{zoo.repo}-{zoo.spec.config}"
    embeddings.draw_embeddings({"weights": networks.weights, "z": z}, networks.labels, zoo.id, folder, by, kinds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tables(options, list(TABLES))
    options.add_argument("--size", default="cpu", choices=SIZES)
    options.add_argument("--tetris", default="full", help="scale of the Tetris zoos")
    options.add_argument("--scale", default="lite", help="scale of the other zoos")
    options.add_argument("--collections", default="", help="of those; comma-separated; default all that are built")
    options.add_argument("--document", default="hyperrep.md", help="in docs/reproduction, for the tables")
    options.add_argument("--untrained", action="store_true", help="leave out what would have to be trained")
    options.add_argument("--work", type=Path, default=Path("build") / "hyperrep")
    arguments = options.parse_args()
    kept = Kept(DOCUMENTS / "hyperrep.json")
    experiments = Experiments(Work(arguments.work), kept, arguments.size, not arguments.untrained)
    zoos = {
        "tetris": built("tetris-zoo", ("seed", "hyp"), arguments.tetris, ""),
        "mnist": built("mnist-zoo", tuple(MNIST_RECONSTRUCTION), arguments.scale, arguments.collections),
        "large": built("small-cnn-zoo", tuple(TRANSFER), arguments.scale, arguments.collections),
    }
    parts = [TABLES[number](experiments, **zoos) for number in arguments.tables]
    for number, group, kinds in (("5", "tetris", ("pca", "umap")), ("4", "mnist", ("umap",))):
        for zoo in zoos[group] if number in arguments.tables else ():
            draw_maps(experiments, zoo, kinds)
    command = f"python -m reproductions.hyperrep --tables {','.join(arguments.tables)} --size {arguments.size}"
    command += f" --collections {arguments.collections}" if arguments.collections else ""
    command += " --untrained" if arguments.untrained else ""
    command += f" --document {arguments.document}" if arguments.document != "hyperrep.md" else ""
    write(
        DOCUMENTS / arguments.document,
        TITLE,
        [about(command, kept, [zoo for group in zoos.values() for zoo in group]), *parts],
    )


if __name__ == "__main__":
    main()
