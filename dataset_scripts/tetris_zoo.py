"""Build the dataset ``zoobench/tetris-zoo``: all its configs, from scratch.

python -m dataset_scripts.tetris_zoo --scale full --out DIR
"""

from ._build import main

if __name__ == "__main__":
    main("tetris-zoo")
