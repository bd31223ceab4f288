"""Run command lines that are killed at the n-th call that changes a file, or whose disk is full from there on."""

import contextlib
import json
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
COUNT, KILL, FULL = range(3)
_PATH_MAX = 4096


@dataclass(frozen=True)
class Done:
    """How a command line ended: the exit code (negative for a signal), calls seen so far, and what it printed."""

    code: int
    seen: int
    printed: str


class Calls:
    """``calls(arguments, KILL, 7)`` runs a command line below ``folder`` in a process of its own."""

    def __init__(self, server, folder, room):
        self.server, self.folder, self.room = server, folder, room

    def __call__(self, arguments, mode=COUNT, point=0, sends=False):
        state = self.room / "state"
        head = struct.pack("lliii", 0, point, mode, sends, 0)
        state.write_bytes(head + os.fsencode(self.folder).ljust(_PATH_MAX, b"\0"))
        order = {"arguments": arguments, "state": str(state), "log": str(self.room / "log")}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        seen = struct.unpack_from("l", state.read_bytes())[0]
        return Done(code, seen, (self.room / "log").read_text(errors="replace"))


@contextlib.contextmanager
def running(folder, room, environment):
    """A server of command lines that write below ``folder``; its own files lie in ``room``."""
    library = room / "calls.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "calls.c"], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ZOOBENCH_"))}
    own = {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, HERE / "server.py"]
    with subprocess.Popen(
        command, env=kept | own | environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout.readline() == "ready\n"
        try:
            yield Calls(server, folder, room)
        finally:
            server.stdin.close()
