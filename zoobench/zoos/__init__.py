"""The registry of declared zoos: what exists, under which id, at which scale.

A zoo id is ``repo/config`` (``mnist-zoo/seed``). The scale is part of the identity: everything but ``full`` carries it
in the repo name (``mnist-zoo-lite/seed``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ZoobenchError, check_known, did_you_mean
from . import cnn_zoo_2, mnist_zoo, small_cnn_zoo, tetris_zoo
from .spec import Scale, ZooSpec

SCALES = ("full", "lite", "tiny")
HUB_NAMESPACE = "zoobench"

ALL: tuple[ZooSpec, ...] = (*small_cnn_zoo.ZOOS, *cnn_zoo_2.ZOOS, *tetris_zoo.ZOOS, *mnist_zoo.ZOOS)
_BY_ID = {spec.id: spec for spec in ALL}
_REPOS = {spec.repo: [other for other in ALL if other.repo == spec.repo] for spec in ALL}


@dataclass(frozen=True)
class Zoo:
    """A declared zoo at one scale."""

    spec: ZooSpec
    scale: str

    @property
    def repo(self) -> str:
        """Repo name with its scale suffix, e.g. ``mnist-zoo-lite``."""
        return self.spec.repo if self.scale == "full" else f"{self.spec.repo}-{self.scale}"

    @property
    def id(self) -> str:
        """Zoo id as used in predictions and results, e.g. ``mnist-zoo-lite/seed``."""
        return f"{self.repo}/{self.spec.config}"

    @property
    def hub_id(self) -> str:
        """Hub dataset id, e.g. ``zoobench/mnist-zoo-lite``."""
        return f"{HUB_NAMESPACE}/{self.repo}"

    @property
    def size(self) -> Scale:
        """The declared size at this scale.

        Raises:
            ZoobenchError: this version cannot build the zoo at this scale.
        """
        sizes = dict(self.spec.scales)
        if self.scale not in sizes:
            raise ZoobenchError(
                f"zoo {self.spec.id!r} cannot be built at scale {self.scale!r} by this version; "
                f"it can at: {', '.join(sizes)}"
            )
        return sizes[self.scale]


def resolve(name: str, scale: str | None = None) -> Zoo:
    """Find the zoo that ``name`` means.

    ``name`` is ``repo/config`` or ``repo`` (its default config, if it has one), with or without a scale suffix. An
    explicit ``scale`` must not contradict the suffix.

    Raises:
        ZoobenchError: unknown repo, config or scale, or a contradiction.
    """
    repo, config, chosen = _parts(name, scale)
    if not config:
        config = next((spec.config for spec in _REPOS[repo] if spec.default), "")
    spec = _BY_ID.get(f"{repo}/{config}")
    if spec is None:
        options = [other.id for other in _REPOS[repo]]
        if not config:
            raise ZoobenchError(f"zoo {name!r} has no default config; choose from: {', '.join(options)}")
        raise ZoobenchError(f"unknown zoo {name!r}{did_you_mean(f'{repo}/{config}', options)}")
    return Zoo(spec, chosen)


def resolve_all(name: str, scale: str | None = None) -> list[Zoo]:
    """The zoo ``repo/config``; or all zoos of ``repo``, whichever is its default.

    Raises:
        ZoobenchError: see ``resolve``.
    """
    repo, config, chosen = _parts(name, scale)
    return [resolve(name, scale)] if config else [Zoo(spec, chosen) for spec in _REPOS[repo]]


def _parts(name: str, scale: str | None) -> tuple[str, str, str]:
    """The declared repo, the config ("" for none) and the scale that a name means."""
    if scale is not None:
        check_known("scale", scale, SCALES)
    repo, _, config = name.removeprefix(f"{HUB_NAMESPACE}/").partition("/")
    named_scale = None
    for suffix in SCALES[1:]:
        if repo.endswith(f"-{suffix}"):
            repo, named_scale = repo.removesuffix(f"-{suffix}"), suffix
    if named_scale and scale and scale != named_scale:
        raise ZoobenchError(f"zoo {name!r} is at scale {named_scale!r}, but scale {scale!r} was asked for")
    if repo not in _REPOS:
        known = list(_BY_ID) if config else list(_REPOS)
        raise ZoobenchError(f"unknown zoo {name!r}{did_you_mean(f'{repo}/{config}' if config else repo, known)}")
    return repo, config, named_scale or scale or "full"
