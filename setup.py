"""Finds the packages; all else is declared in pyproject.toml."""

from setuptools import find_packages, setup

# Root folders that are installed under names which cannot clash with other people's packages.
ROOMS = ("baselines", "dataset_scripts", "leaderboard")

folders = {f"zoobench_{room}": room for room in ROOMS}
inside = {f"zoobench_{name}": name.replace(".", "/") for room in ROOMS for name in find_packages(include=[f"{room}.*"])}
setup(
    packages=[*find_packages(include=["zoobench", "zoobench.*"]), *folders, *inside],
    package_dir=folders | inside,
)
