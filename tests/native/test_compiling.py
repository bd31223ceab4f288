"""Compiled code is kept where that is safe, loaded only whole and the user's own, and never needed to be kept."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from zoobench import errors, native
from zoobench.native import compiling
from zoobench.native.compiling import CompilerError, load

FLAGS = ("-fPIC", "-shared")
SEVEN = "#ifndef ANSWER\n#define ANSWER 7\n#endif\nint answer(void) { return ANSWER; }\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source" / "seven.c"
    path.parent.mkdir()
    path.write_text(SEVEN)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of compiled code; temporary folders are made below ``tmp_path``, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(errors, "_said", set())
    return tmp_path / "cache" / "zoobench" / "native"


def compiler(monkeypatch, tmp_path, script):
    """A shell script as the compiler; ``$CC`` is the one that it stands for."""
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\nCC={shlex.quote(shutil.which('cc'))}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    return path


def kept(cache):
    (path,) = cache.iterdir()
    return path


def notes(source):
    with warnings.catch_warnings(record=True, action="always") as heard:
        assert load(source, FLAGS).answer() == 7
        assert load(source, FLAGS).answer() == 7
    return [str(each.message) for each in heard]


def test_the_code_is_compiled_once_and_kept_for_its_user_alone(source, cache, tmp_path, monkeypatch):
    compiler(monkeypatch, tmp_path, f'echo "$@" >> {tmp_path}/calls; exec "$CC" "$@"')
    old = os.umask(0)
    try:
        assert notes(source) == []
    finally:
        os.umask(old)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if call != "--version"] == [calls[1]]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept(cache).stat().st_mode) == 0o600
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("changed", ["source", "flags", "version", "processor"])
def test_other_code_flags_compilers_and_processors_are_kept_apart(source, cache, changed, tmp_path, monkeypatch):
    flags = FLAGS
    load(source, flags)
    if changed == "source":
        source.with_name("included.c").write_text("int more;")
    elif changed == "flags":
        flags = (*FLAGS, "-DANSWER=8")
    elif changed == "version":
        path = tmp_path / "cc"
        path.symlink_to(shutil.which("cc"))
        monkeypatch.setenv("CC", str(path))
        load(source, flags)
        path.unlink()
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo another || exec {shutil.which("cc")} "$@"\n')
        path.chmod(0o755)
        assert len(list(cache.iterdir())) == 2
    else:
        monkeypatch.setattr(compiling, "_processor", lambda: "another")
    assert load(source, flags).answer() == (8 if changed == "flags" else 7)
    assert len(list(cache.iterdir())) == (3 if changed == "version" else 2)


def cut(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    path.unlink()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.unlink()
    path.touch()


def folder(path):
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def link(path):
    path.rename(path.parents[2] / "elsewhere.so")
    path.symlink_to(path.parents[2] / "elsewhere.so")


def writable(path):
    path.chmod(0o666)


def another_users(path):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize("spoil", [cut, flip, empty, folder, link, writable, another_users])
def test_what_is_cut_or_may_be_somebody_elses_is_not_loaded_but_made_again(source, cache, spoil):
    """A cut library is mapped, and ends the process where it is touched beyond its end."""
    assert load(source, FLAGS).answer() == 7
    path = kept(cache)
    content, inode = path.read_bytes(), path.lstat().st_ino
    spoil(path)
    assert notes(source) == []
    assert path.read_bytes() == content
    assert path.is_file()
    assert not path.is_symlink()
    assert path.lstat().st_ino != inode
    assert (path.lstat().st_uid, stat.S_IMODE(path.lstat().st_mode)) == (os.geteuid(), 0o600)


def test_what_lay_in_a_folder_that_others_could_write_to_is_removed(source, cache):
    load(source, FLAGS)
    (cache / "planted.so").touch()
    cache.chmod(0o777)
    assert notes(source) == []
    assert kept(cache).name.startswith("seven-")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def file_in_its_place(cache):
    cache.parents[1].touch()


def link_to_elsewhere(cache):
    cache.parent.mkdir(parents=True)
    (cache.parents[2] / "elsewhere").mkdir()
    cache.symlink_to(cache.parents[2] / "elsewhere")


def another_users_folder(cache):
    cache.mkdir(parents=True)
    another_users(cache)


@pytest.mark.parametrize("spoil", [file_in_its_place, link_to_elsewhere, another_users_folder])
def test_without_a_cache_the_code_is_compiled_all_the_same_and_that_is_said_once(source, cache, spoil, tmp_path):
    spoil(cache)
    (note,) = notes(source)
    assert note.startswith("compiled code is not kept, so that each process compiles it: ")
    assert "cache" in note
    assert not list((tmp_path / "temporary").iterdir())
    assert not list(tmp_path.glob("elsewhere/*"))


@pytest.mark.parametrize("home", ["", "/proc/nowhere"])
def test_without_a_home_nothing_is_written_into_a_folder_named_after_one(source, cache, home, tmp_path, monkeypatch):
    """In a container the user may have neither HOME nor an entry in the table of users."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", home) if home else path)
    monkeypatch.chdir(tmp_path)
    (note,) = notes(source)
    assert (home or "HOME") in note
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "temporary"]


@pytest.mark.parametrize("option", ["noexec", "ro"])
def test_a_cache_that_is_read_only_or_runs_nothing_is_gone_without(source, cache, option, tmp_path):
    cache.mkdir(parents=True, mode=0o700)
    code = (
        "import pathlib, sys; from zoobench.native.compiling import load; "
        f"[print(load(pathlib.Path(sys.argv[1]), {FLAGS}).answer()) for _ in range(2)]"
    )
    mount = f"mount -t tmpfs -o mode=700,{option} none {cache} || exit 77"
    script = f"{mount}; {sys.executable} -c {shlex.quote(code)} {source}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode in (1, 77) and "unshare" in done.stderr + "unshare" * (done.returncode == 77):
        pytest.skip("only root can mount")
    assert done.stdout == "7\n7\n", done.stderr
    assert done.stderr.count("compiled code is not kept") == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "compiler fails: exit code 3"),
        ("echo 'no licence' >&2; exit 1", "compiler fails: no licence"),
        ("sleep 60 & sleep 60", "does not come to an end"),
        ("while echo garbage; do :; done", "does not come to an end"),
        ("echo garbage", "wrote nothing"),
        ('[ "$1" = --version ] || while [ "$1" != -o ]; do shift; done; echo garbage > "${2:-/dev/null}"', "too short"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_a_compiler_that_fails_waits_or_writes_garbage_is_given_up(script, message, source, tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "_SECONDS", {"version": 1, "compile": 1})
    compiler(monkeypatch, tmp_path, script)
    with pytest.raises((CompilerError, OSError), match=message):
        load(source, FLAGS)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("no-such-compiler", "no C compiler 'no-such-compiler'"),
        ("'cc", "No closing quotation"),
        ("/bin/false", "fails"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_a_compiler_that_is_none_is_named(chosen, message, source, monkeypatch):
    monkeypatch.setenv("CC", chosen)
    with pytest.raises(CompilerError, match=message):
        load(source, FLAGS)


@pytest.mark.usefixtures("cache")
def test_the_compiler_may_be_given_with_arguments(source, monkeypatch):
    monkeypatch.setenv("CC", "cc -DANSWER=9")
    assert load(source, FLAGS).answer() == 9
    monkeypatch.setenv("CC", " ")
    assert load(source, FLAGS).answer() == 7


@pytest.mark.usefixtures("cache")
def test_a_library_without_its_functions_is_not_used_and_that_is_said_once(tmp_path, monkeypatch):
    nothing = tmp_path / "nothing.c"
    nothing.touch()
    compiler(
        monkeypatch,
        tmp_path,
        f'[ "$1" = --version ] && exit; while [ "$1" != -o ]; do shift; done; exec "$CC" -shared -o "$2" {nothing}',
    )
    with warnings.catch_warnings(record=True, action="always") as heard:
        for _ in range(2):
            assert native.library.__wrapped__("row_statistics") is None
    assert [str(each.message) for each in heard] == [
        "row_statistics.c is not used, which takes longer: what was compiled has no function 'row_statistics'"
    ]


def test_processors_are_told_apart_by_what_they_can_do(monkeypatch):
    found = compiling._processor()
    assert not any(word in found for word in ("MHz", "processor\t", "apicid"))
    monkeypatch.setattr(Path, "read_text", lambda *args, **options: (_ for _ in ()).throw(OSError))
    assert compiling._processor() != found
