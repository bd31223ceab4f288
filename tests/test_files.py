import hashlib
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from zoobench.files import remove_abandoned, sha256_of, whole, write_atomically


def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "c.json", b"one")
    write_atomically(tmp_path / "a" / "b" / "c.json", b"two")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.json"]
    assert (tmp_path / "a" / "b" / "c.json").read_bytes() == b"two"


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(b"old")

    def fail():
        with whole(path) as fresh:
            fresh.write_bytes(b"half")
            assert path.read_bytes() == b"old"
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"c.json": b"old"}


def test_a_file_has_the_permissions_that_the_users_files_have(tmp_path):
    write_atomically(tmp_path / "ours", b"")
    (tmp_path / "theirs").write_bytes(b"")
    ours, theirs = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs"))
    assert ours == theirs


def test_many_writers_at_once_leave_the_whole_file_of_one(tmp_path):
    contents = [bytes([number]) * 200_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "c", content), contents))
    assert (tmp_path / "c").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_a_killed_writer_leaves_is_removed_once_it_is_old(tmp_path):
    code = f"""
import os, pathlib, signal
from zoobench.files import whole
with whole(pathlib.Path({str(tmp_path)!r}) / "c.json") as fresh:
    fresh.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".c.json.")
    remove_abandoned(tmp_path)
    assert left.exists()
    os.utime(left, times=(0, 0))
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "c").write_bytes(b"content" * 100_000)
    assert sha256_of(tmp_path / "c") == hashlib.sha256(b"content" * 100_000).hexdigest()
