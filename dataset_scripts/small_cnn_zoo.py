"""Build the dataset ``zoobench/small-cnn-zoo``: all its configs, from scratch.

python -m dataset_scripts.small_cnn_zoo --scale lite --out DIR --images FOLDER
"""

from ._build import main

if __name__ == "__main__":
    main("small-cnn-zoo")
