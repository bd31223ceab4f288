import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zoobench.errors import ZoobenchError
from zoobench.files import locked, remove, remove_abandoned, sha256_of, whole, write_atomically


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


def killed(code):
    """Run Python code that kills itself."""
    whole_code = f"import os, pathlib, signal\nfrom zoobench import files\n{code}"
    assert subprocess.run([sys.executable, "-c", whole_code], check=False).returncode == -signal.SIGKILL


def test_what_a_killed_writer_leaves_is_removed_by_the_next_one(tmp_path):
    path = tmp_path / "c[0].json"
    code = f"""
with files.whole(pathlib.Path({str(path)!r})) as fresh:
    fresh.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed(code)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".c[0].json.")
    write_atomically(tmp_path / "other", b"")
    assert left.exists()
    write_atomically(path, b"all")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["c[0].json", "other"]
    killed(code)
    remove_abandoned(tmp_path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["c[0].json", "other"]


def test_what_a_living_writer_works_on_stays(tmp_path):
    with whole(tmp_path / "c") as fresh:
        fresh.write_bytes(b"one")
        write_atomically(tmp_path / "c", b"two")
        remove_abandoned(tmp_path)
        assert fresh.exists()
    assert (tmp_path / "c").read_bytes() == b"one"


def test_a_killed_removal_leaves_nothing_under_the_name_and_is_finished_by_the_next_one(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "row").write_bytes(b"row")
    killed(f"""
files.shutil.rmtree = lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL)
files.remove(pathlib.Path({str(folder)!r}))
""")
    assert not folder.exists()
    folder.mkdir()
    remove(folder)
    assert list(tmp_path.iterdir()) == []
    remove(folder)


def test_a_file_system_without_locks_counts_what_is_old_as_abandoned(tmp_path, monkeypatch):
    def no_locks(descriptor, **how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("zoobench.files.lock_descriptor", no_locks)
    left = tmp_path / ".c.1234.tmp"
    left.mkdir()
    write_atomically(tmp_path / "c", b"")
    assert left.exists()
    os.utime(left, times=(0, 0))
    with locked(tmp_path / "d"):
        write_atomically(tmp_path / "c", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_what_is_no_regular_file_is_written_into_and_not_replaced(tmp_path, name):
    code = f"from zoobench.files import *; write_atomically(Path({name!r}), b'content')"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert printed.stdout == b"content"
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before ")
        log.flush()
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
        inode = os.fstat(log.fileno()).st_ino
    assert (tmp_path / "log").read_bytes() == b"before content"
    assert (tmp_path / "log").stat().st_ino == inode
    write_atomically(Path("/dev/null"), b"content")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_named_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        write_atomically(pipe, b"content")
        assert read.result() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "c")
    for content in (b"one", b"two"):
        write_atomically(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "c").read_bytes() == content


def test_one_thread_at_a_time_holds_a_lock(tmp_path):
    count = [0]

    def add(times):
        for _ in range(times):
            with locked(tmp_path / "counted"):
                before = count[0]
                time.sleep(0.001)
                count[0] = before + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, [10] * 4))
    assert count == [40]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_says_who_holds_it_until_that_process_is_killed(tmp_path):
    code = f"""
import time
with files.locked(pathlib.Path({str(tmp_path / "zoo")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", f"import pathlib\nfrom zoobench import files\n{code}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        refusal = pytest.raises(ZoobenchError, match=f"zoo is being written by process {holder.pid} on .* since 20")
        with refusal, locked(tmp_path / "zoo", wait=False):
            pass
        holder.kill()
    with locked(tmp_path / "zoo", wait=False):
        assert [path.name for path in tmp_path.iterdir()] == [".zoo.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "c").write_bytes(b"content" * 100_000)
    assert sha256_of(tmp_path / "c") == hashlib.sha256(b"content" * 100_000).hexdigest()
