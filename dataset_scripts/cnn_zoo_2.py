"""Build the dataset ``zoobench/cnn-zoo-2``: all its configs, from scratch.

python -m dataset_scripts.cnn_zoo_2 --scale lite --out DIR --images FOLDER
"""

from ._build import main

if __name__ == "__main__":
    main("cnn-zoo-2")
