"""Build the dataset ``zoobench/mnist-zoo``: all its configs, from scratch.

python -m dataset_scripts.mnist_zoo --scale lite --out DIR --images FOLDER
"""

from ._build import main

if __name__ == "__main__":
    main("mnist-zoo")
