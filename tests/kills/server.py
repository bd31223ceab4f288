"""Run command lines of zoobench, each in a fork of this process, which has imported what they need.

Reads lines of JSON from standard input, ``{"arguments", "state", "log"}``; answers with exit codes, negative for a
signal. Not a module to import: it is started with ``calls.c`` preloaded.
"""

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback

MODULES = (
    "datasets", "lightgbm", "matplotlib.figure", "numba", "optuna", "sklearn.linear_model", "torch", "uvicorn",
    "zoobench.building.build", "zoobench.predictors.run", "zoobench.publishing.install", "zoobench.publishing.publish",
    "zoobench.weightspace.plots", "zoobench_baselines.gbm", "zoobench_dataset_scripts.schurholt_release",
    "zoobench_leaderboard.score",
)  # fmt: skip


def run(order):
    """In the fork: one command line. Never returns."""
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    signal.alarm(300)
    code = 70
    try:
        sys.argv = ["zoobench", *order["arguments"]]
        os.environ["CALLS_STATE"] = order["state"]
        assert ctypes.CDLL(None).calls_arm(os.fsencode(order["state"])) == 0
        cli.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for name in MODULES:
    importlib.import_module(name)
from zoobench import cli  # noqa: E402

gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    if not (child := os.fork()):
        run(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
