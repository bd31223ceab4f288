"""A file is hashed once, and again when anything about it has changed."""

import hashlib
import os
import time

import pytest

from zoobench.data import digests
from zoobench.data.digests import digest_of

LARGE = 17_000_000


@pytest.fixture
def hashed(monkeypatch, tmp_path):
    """The files that are read to the end, in order; what earlier tests hashed is forgotten."""
    read = []
    real = digests.sha256_of
    monkeypatch.setattr(digests, "sha256_of", lambda path: read.append(path.name) or real(path))
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return read


def settled(path, content):
    """A file that was written long enough ago for a change to show."""
    path.write_bytes(content)
    time.sleep(0.15)
    return path


def test_a_file_is_hashed_once(tmp_path, hashed):
    path = settled(tmp_path / "a", b"rows")
    assert {digest_of(path) for _ in range(3)} == {hashlib.sha256(b"rows").hexdigest()}
    assert hashed == ["a"]


def test_a_flipped_byte_shows_although_size_and_time_of_writing_are_the_same(tmp_path, hashed):
    path = settled(tmp_path / "a", b"rows")
    digest_of(path)
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"c")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (status.st_mtime_ns, status.st_ino)
    assert digest_of(path) == hashlib.sha256(b"cows").hexdigest()


def test_a_file_that_takes_the_place_of_another_shows(tmp_path, hashed):
    path, other = settled(tmp_path / "a", b"rows"), settled(tmp_path / "b", b"cows")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    digest_of(path)
    other.replace(path)
    assert digest_of(path) == hashlib.sha256(b"cows").hexdigest()


def test_a_file_that_was_written_a_moment_ago_is_hashed_again(tmp_path, hashed):
    """Its next change may have the same time: file systems count it in steps."""
    path = tmp_path / "a"
    for content in (b"rows", b"cows"):
        path.write_bytes(content)
        assert digest_of(path) == hashlib.sha256(content).hexdigest()
    assert hashed == ["a", "a"]


def test_a_large_file_is_known_to_the_next_process(tmp_path, hashed, monkeypatch):
    path = settled(tmp_path / "a", b"0" * LARGE)
    digest = digest_of(path)
    monkeypatch.setattr(digests, "_known", {})
    assert digest_of(path) == digest == hashlib.sha256(b"0" * LARGE).hexdigest()
    assert hashed == ["a"]
    settled(path, b"1" * LARGE)
    assert digest_of(path) == hashlib.sha256(b"1" * LARGE).hexdigest()
    assert len(list((tmp_path / "cache" / "zoobench" / "digests").iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"{}", b'[1, 2, 3, 4, 5, "ab"]', b"[]", b"\xff", None])
def test_a_record_that_is_broken_is_made_again(tmp_path, hashed, monkeypatch, content):
    path = settled(tmp_path / "a", b"0" * LARGE)
    digest = digest_of(path)
    (record,) = (tmp_path / "cache" / "zoobench" / "digests").iterdir()
    record.unlink()
    if content is None:
        record.mkdir()
    else:
        record.write_bytes(content)
    monkeypatch.setattr(digests, "_known", {})
    assert digest_of(path) == digest
    assert hashed == ["a", "a"]


def test_without_a_cache_files_are_hashed_all_the_same(tmp_path, hashed, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = settled(tmp_path / "a", b"0" * LARGE)
    assert digest_of(path) == digest_of(path) == hashlib.sha256(b"0" * LARGE).hexdigest()
