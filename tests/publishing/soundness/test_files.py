import io
import json

import numpy as np
import pytest
from PIL import Image

from zoobench.publishing.soundness.files import picture_fault
from zoobench.publishing.verify import verify

from ..damage import edit_manifest, rehash


@pytest.fixture
def picture(folder):
    return folder / "pictures" / "seed-images.png"


DAMAGED = {
    "no PNG": lambda content: b"<svg/>" + content,
    "a PNG that is truncated": lambda content: content[:-12],
    "a PNG that is truncated, or has something after its end": lambda content: content + b"<script>",
    "a PNG that is damaged": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
}


@pytest.mark.parametrize("said", DAMAGED)
def test_pictures_are_pngs(folder, picture, said):
    picture.write_bytes(DAMAGED[said](picture.read_bytes()))
    rehash(folder)
    assert any(problem.startswith(f"pictures/seed-images.png: {said}") for problem in verify(folder, sample=0))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_pictures_of_other_writers_are_pngs(tmp_path, mode):
    content = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert(mode).save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    assert picture_fault(tmp_path / "a.png") == ""


@pytest.mark.parametrize(
    "path",
    [
        "seed/notes.txt",
        "labels/seed/all.parquet",
        "references/seed/mine.parquet",
        "protocols/seed/nfn.parquet",
    ],
)
def test_a_listed_file_that_no_such_config_has_is_named(folder, path):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(b"anything")
    entry = {"path": path, "sha256": "0" * 64, "size": 8}
    edit_manifest(folder, lambda content: content["configs"]["seed"]["files"].append(entry))
    rehash(folder)
    assert f"seed: {path!r} is no file of such a config" in verify(folder, sample=0)


@pytest.mark.parametrize("path", ["thesis.tex", "../../secret", "/etc/hostname", "seed/../../x.parquet", "a\x00b", ""])
def test_a_path_outside_of_the_configs_folders_is_refused(folder, zoobench, path):
    entry = {"path": path, "sha256": "0" * 64, "size": 8}
    edit_manifest(folder, lambda content: content["configs"]["seed"]["files"].append(entry))
    outcome = zoobench("verify", folder, "--sample", "0")
    assert outcome.code in (1, 2)
    assert len((outcome.out + outcome.err).splitlines()) < 6


def test_references_cannot_be_left_out(folder):
    def leave_out(content):
        config = content["configs"]["seed"]
        config["files"] = [entry for entry in config["files"] if not entry["path"].startswith("references/")]

    edit_manifest(folder, leave_out)
    for path in (folder / "references" / "seed").iterdir():
        path.unlink()
    said = "not in the manifest, although every such config has it"
    assert verify(folder, sample=0) == [
        f"references/seed/{name}.parquet: {said}"
        for name in ("constant", "hyperparameters", "constant-final", "hyperparameters-final")
    ]


def test_files_that_nothing_lists_are_named_also_deep_inside(folder):
    (folder / "labels" / "seed" / "deep").mkdir()
    for path in ("labels/seed/deep/a.txt", "pictures/seed-more.png", "seed/.hidden"):
        (folder / path).write_bytes(b"")
    problems = verify(folder, sample=0)
    for path in ("labels/seed/deep/a.txt", "pictures/seed-more.png", "seed/.hidden"):
        assert f"{path}: not in the manifest" in problems


def test_shards_that_are_no_whole_series_are_named(folder):
    (folder / "seed" / "test-00000-of-00001.parquet").rename(folder / "seed" / "test-00000-of-00002.parquet")
    text = json.dumps(json.loads((folder / "manifest.json").read_text()))
    (folder / "manifest.json").write_text(text.replace("test-00000-of-00001", "test-00000-of-00002"))
    said = "seed/test-*.parquet: seed/test-00000-of-00002.parquet are not all files of a series"
    assert said in verify(folder, sample=0)
