"""What a pull request may hold, in real git repositories; ``test_ci`` runs the script of the workflow."""

import functools
import os
import shutil
import subprocess

import pytest

from zoobench_leaderboard.pull_request import MOST_CHARACTERS, Review, comment, review

HERE = "leaderboard/submissions"
FILE, PROGRAM, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
YAML = b"method: a\nauthors: anonymous\ndescription: b\ntraining_data: same-zoo\nvalidation_labels: none\n"


class Repository:
    """A repository whose branches are made of paths, modes and bytes that no file system need take."""

    def __init__(self, folder):
        self.folder = folder
        self.blob = functools.cache(self._blob)
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments, given=b""):
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ["PATH"], "HOME": str(self.folder)}
        settings |= {f"GIT_{who}_{what}": "x@y.z" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=settings, input=given, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def _blob(self, content):
        return self.git("hash-object", "-w", "--stdin", given=content)

    def branch(self, name, files, start=None):
        """A branch of one commit more: files by path, each bytes, (mode, bytes), or None to remove it."""
        if start:
            self.git("read-tree", start)
        lines = []
        for path, what in files.items():
            mode, content = what if isinstance(what, tuple) else (FILE, what)
            path = path if isinstance(path, bytes) else path.encode()
            sha = "0" * 40 if content is None else "1" * 40 if mode == SUBMODULE else self.blob(content)
            lines.append(f"{'0' if content is None else mode} {sha}\t".encode() + path + b"\0")
        self.git("update-index", "-z", "--index-info", given=b"".join(lines))
        return self.of_tree(name, self.git("write-tree"), start)

    def of_tree(self, name, tree, start=None):
        sha = self.git("commit-tree", tree, "-m", name, *(["-p", start] if start else []))
        self.git("update-ref", f"refs/heads/{name}", sha)
        return sha


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "repository").mkdir()
    made = Repository(tmp_path / "repository")
    made.branch("main", {f"{HERE}/kept/submission.yaml": YAML, f"{HERE}/kept/README.md": b"x", "code.py": b"1"})
    monkeypatch.chdir(made.folder)
    return made


DEEP = "/".join("d" * 1200)
REFUSED = {
    "attributes beside the submissions": (
        {f"{HERE}/.gitattributes": b"* filter=x\n"},
        ".gitattributes is no folder, but a file",
    ),
    "attributes at the root": ({".gitattributes": b"* eol=crlf\n"}, "changes more than `leaderboard/submissions`"),
    "attributes in a submission": ({f"{HERE}/a/.gitattributes": b"*\n"}, "a/.gitattributes does not belong in"),
    "attributes deeper": ({f"{HERE}/a/tetris-zoo/.gitattributes": b"*\n"}, "a/tetris-zoo/.gitattributes does not"),
    "a submodule": ({f"{HERE}/a": (SUBMODULE, b"")}, "a is no folder, but a submodule"),
    "a submodule inside": ({f"{HERE}/a/tetris-zoo": (SUBMODULE, b"")}, "a/tetris-zoo is a submodule"),
    "a submodule with its file": (
        {".gitmodules": b'[submodule "a"]\n', f"{HERE}/a": (SUBMODULE, b"")},
        "changes more than `leaderboard/submissions`: the code and the labels are changed by others: .gitmodules",
    ),
    "a link": ({f"{HERE}/a": (LINK, b"/etc")}, "a is no folder, but a link"),
    "a link inside": ({f"{HERE}/a/submission.yaml": (LINK, b"/etc/passwd")}, "a/submission.yaml is a link"),
    "a file": ({f"{HERE}/a": b"x"}, "a is no folder, but a file"),
    "a file in the place of a submission": (
        {f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None, f"{HERE}/kept": b"x"},
        "kept is no folder, but a file",
    ),
    "a file in the place of all submissions": (
        {f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None, HERE: b"x"},
        "leaderboard/submissions becomes a file",
    ),
    "a link in the place of all submissions": (
        {f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None, HERE: (LINK, b"labels")},
        "leaderboard/submissions becomes a link",
    ),
    "nested folders": ({f"{HERE}/a/{DEEP}/x.parquet": b"x"}, "a/d/d/d/d/"),
    "an option": ({f"{HERE}/--help/submission.yaml": YAML}, "submission name '--help' is not lower-case letters"),
    "options": ({f"{HERE}/-rf/submission.yaml": YAML}, "submission name '-rf' is not lower-case letters"),
    "an option inside": ({f"{HERE}/a/--help": b"x"}, "a/--help does not belong in a submission"),
    "not UTF-8": ({HERE.encode() + b"/\xff\xfe/submission.yaml": YAML}, r"submission name '\\xff\\xfe' is not"),
    "not UTF-8 inside": ({HERE.encode() + b"/a/\xff/seed.parquet": b""}, r"unknown zoo '\\xff/seed'"),
    "another case": ({f"{HERE}/Kept/submission.yaml": YAML}, "submission name 'Kept' is not lower-case letters"),
    "another case inside": ({f"{HERE}/a/Tetris-Zoo/seed.parquet": b""}, "unknown zoo 'Tetris-Zoo/seed'"),
    "a zoo at two places": ({f"{HERE}/a/zoobench/tetris-zoo.parquet": b""}, "predictions of tetris-zoo/seed belong in"),
    "a hidden file": ({f"{HERE}/a/.DS_Store": b"x"}, "a/.DS_Store does not belong in a submission"),
    "a large file": ({f"{HERE}/a/tetris-zoo/seed.parquet": b"\0" * 100_000_001}, "seed.parquet has 100 MB; pred"),
    "many files": (
        {f"{HERE}/a/tetris-zoo/seed-seed{k}.parquet": b"" for k in range(2001)},
        "a has more than 2,000 files",
    ),
    "many submissions": ({f"{HERE}/a{k}/README.md": b"" for k in range(51)}, "it changes 51 submissions, none of whi"),
    "code": ({"code.py": b"2"}, "are changed by others: code.py"),
    "labels": ({"leaderboard/labels/manifest.json": b"{}"}, "are changed by others: leaderboard/labels/manifest.json"),
    "nothing": ({}, "changes nothing in leaderboard/submissions: there is nothing to check"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_submission_is_refused_in_one_clear_line_and_never_passes(zoobench, repository, case, tmp_path):
    files, message = REFUSED[case]
    repository.branch("proposed", files, "main")
    outcome = zoobench("leaderboard", "review", "--comment", tmp_path / "comment.md", "--", "main", "proposed")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "")
    text = (tmp_path / "comment.md").read_text()
    assert message in text
    assert text.count("refused: ") == (2 if ".gitmodules" in files else 1)
    assert all(line.startswith("    ") and line.isprintable() for line in text.split("\n") if line)
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (".git", "a/.git/seed.parquet: unknown zoo|unknown zoo '.git/seed'"),
        ("..", "unknown zoo '../seed'"),
        ("tetris-zoo", "a has two files of one name"),
    ],
)
def test_trees_that_git_itself_would_not_make_write_nothing_outside(repository, inside, message):
    blob = repository.blob(b"x")
    again = f"100644 blob {blob}\tseed.parquet\n" * (2 if inside == "tetris-zoo" else 1)
    tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=_tree(blob, again))
    for name in (inside, "a", "submissions", "leaderboard"):
        entries = b"40000 " + name.encode() + b"\0" + bytes.fromhex(tree)
        tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=entries)
    repository.git("read-tree", "main")
    repository.of_tree("proposed", tree, "main")
    before = {path for path in repository.folder.parent.rglob("*") if ".git" not in path.parts}
    found = review("main", "proposed")
    assert any(part in text for text in found.refused for part in message.split("|")), found
    assert {path for path in repository.folder.parent.rglob("*") if ".git" not in path.parts} == before


def _tree(blob, listed):
    return b"".join(b"100644 seed.parquet\0" + bytes.fromhex(blob) for _ in listed.splitlines())


def test_what_is_withdrawn_or_renamed_is_said(repository):
    repository.branch("gone", {f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None}, "main")
    assert review("main", "gone") == Review(good=("withdrawn: kept",))
    moved = {f"{HERE}/new/submission.yaml": YAML, f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None}
    repository.branch("renamed", moved, "main")
    found = review("main", "renamed")
    assert found.good == ("withdrawn: kept",)
    assert "submission 'new' has no predictions" in found.refused[0]


def test_a_base_that_has_moved_is_no_change_of_the_proposal(repository):
    repository.branch("proposed", {f"{HERE}/kept/submission.yaml": None, f"{HERE}/kept/README.md": None}, "main")
    repository.branch("main", {"code.py": b"2", f"{HERE}/other/submission.yaml": YAML}, "main")
    assert review("main", "proposed") == Review(good=("withdrawn: kept",))


def test_a_changed_mode_is_a_change_that_is_checked(repository):
    repository.branch("proposed", {f"{HERE}/kept/submission.yaml": (PROGRAM, YAML)}, "main")
    (text,) = review("main", "proposed").refused
    assert text.startswith("submission 'kept' has no predictions")


def test_commits_that_git_does_not_know_are_named(zoobench, repository):
    repository.git("read-tree", "--empty")
    repository.branch("stranger", {f"{HERE}/a/submission.yaml": YAML})
    for head, said in (
        ("stranger", "the pull request has no commit in common with the branch"),
        ("--help", "git rev-parse fails"),
        ("nothing", "git rev-parse fails"),
        ("-rf", "git rev-parse fails"),
    ):
        outcome = zoobench("leaderboard", "review", "--", "main", head)
        assert (outcome.code, outcome.err) == (1, "")
        assert outcome.out.startswith(f"    refused: this pull request cannot be checked: {said}")


def test_a_submission_is_scored_as_git_keeps_it_whatever_attributes_and_filters_say(repository, board, monkeypatch):
    shutil.copytree(board / "labels", "leaderboard/labels")
    attributes = b"*.parquet filter=broken\n*.yaml text eol=crlf working-tree-encoding=UTF-16\n"
    repository.git("config", "filter.broken.smudge", "false")
    repository.git("config", "filter.broken.required", "true")
    repository.branch("main", {".gitattributes": attributes}, "main")
    folder = board / "submissions" / "linear-w"
    files = {
        f"{HERE}/mine/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
    lost = {path.replace("/mine/", "/lost/"): content for path, content in files.items()}
    lost[f"{HERE}/lost/tetris-zoo-tiny/seed.parquet"] = pointer
    repository.branch("proposed", files | lost, "main")
    monkeypatch.chdir("leaderboard")  # from wherever in the checkout
    found = review("main", "proposed")
    (text,) = found.good
    assert text.startswith("added: mine\n")
    assert "mine is valid: tetris-zoo-tiny/seed; track standard" in text
    assert found.refused == (
        "lost/tetris-zoo-tiny/seed.parquet is a pointer of Git LFS, not the file that it points to; "
        "git lfs pull gets that",
    )


def test_a_comment_is_never_longer_than_github_takes_and_leaves_room_for_everyone(zoobench, repository, tmp_path):
    long = YAML + b"x" * 59_000 + b": 1\n"
    repository.branch("proposed", {f"{HERE}/a{k}/submission.yaml": long for k in range(2)}, "main")
    outcome = zoobench("leaderboard", "review", "--comment", tmp_path / "comment.md", "--", "main", "proposed")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "")
    text = (tmp_path / "comment.md").read_text()
    assert len(text) < 2000
    tables = tuple(f"added: {k}\n" + "\n".join(["─" * 200] * 400) + f"\nend of {k}" for k in range(5))
    text = comment(Review((*tables, "two"), ("one",)))
    assert len(text) <= MOST_CHARACTERS
    assert all(f"added: {k}" in text for k in range(5))
    assert "end of" not in text
    assert text.count("and more; zoobench leaderboard validate shows all") == 5
    assert text.startswith("    refused: one\n")
    assert "    two\n" in text


def test_foreign_text_in_a_comment_is_neither_markup_nor_invisible():
    hostile = "a\n```\n@everyone <img src=x>\n::set-output name=x::y\n\x1b[31mred\u202eeslaf\u2028next\r\n"
    text = comment(Review((hostile,), (hostile,)))
    lines = text.split("\n")
    assert all(line.startswith("    ") for line in lines if line)
    assert all(line.isprintable() for line in lines)
    assert r"\x1b[31mred\u202eeslaf\u2028next" in text
