"""Pictures come last and are the least: a zoo is written whole without those that cannot be drawn."""

import os
import subprocess
import sys

from zoobench.data.manifest import read_manifest


def test_a_zoo_is_built_where_neither_library_for_pictures_can_be_used(tiny_home, tmp_path):
    """As with a version of another NumPy, whose import raises what it runs into."""
    for name in ("matplotlib", "PIL"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text("raise RuntimeError('built for another NumPy')\n")
    path = os.pathsep.join([str(tmp_path / "broken"), *filter(None, sys.path)])
    command = [sys.executable, "-m", "zoobench", "build", "tetris-zoo/seed", "--scale", "tiny", "--out", tmp_path]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "warning: pictures of tetris-zoo-tiny/seed are left out: built for another NumPy",
        "warning: the picture seed-images.png is left out: built for another NumPy",
    ]
    folder, whole = tmp_path / "tetris-zoo-tiny", tiny_home / "tetris-zoo-tiny"
    expected = {file.path: file.sha256 for file in read_manifest(whole).configs["seed"].files}
    found = {file.path: file.sha256 for file in read_manifest(folder).configs["seed"].files}
    assert found == {path: sha256 for path, sha256 in expected.items() if not path.startswith("pictures/")}
    assert len(found) < len(expected)
    assert "pictures/" in (whole / "README.md").read_text(encoding="utf-8")
    assert "pictures/" not in (folder / "README.md").read_text(encoding="utf-8")
