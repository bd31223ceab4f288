"""What the scripts of datasets that are built from scratch share: their command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zoobench import zoos
from zoobench.building.build import build
from zoobench.cli import progress
from zoobench.data import hub
from zoobench.errors import ZoobenchError


def main(repo: str) -> None:
    """Build all configs of ``repo`` that are declared at the chosen scale into one dataset folder."""
    parser = argparse.ArgumentParser(description=f"Build the dataset {repo} from scratch.")
    parser.add_argument("--scale", choices=zoos.SCALES, default="full")
    parser.add_argument("--out", type=Path, default=hub.data_home(), help="parent of the dataset folder")
    parser.add_argument("--images", type=Path, help="folder of image data sets")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    buildable = [spec for spec in zoos.ALL if spec.repo == repo and arguments.scale in dict(spec.scales)]
    try:
        for spec in buildable:
            zoo = zoos.Zoo(spec, arguments.scale)
            with progress.build_bar(zoo.id) as on_progress:
                folder = build(zoo, arguments.out, arguments.images, arguments.device, on_progress)
            print(f"built {zoo.id} in {folder}")
    except ZoobenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
