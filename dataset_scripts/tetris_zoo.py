"""Build the dataset ``zoobench/tetris-zoo``: every config that this version can build, from scratch.

python -m dataset_scripts.tetris_zoo --scale full --out DIR
"""

from ._build import main

if __name__ == "__main__":
    main("tetris-zoo")
