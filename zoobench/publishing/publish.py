"""Publishing a dataset folder as a Hub dataset, all or nothing.

Files are uploaded first and appear together, by one commit at the end: an interrupted upload publishes nothing, and
the next one sends only what the Hub does not have yet. The folder must be what its manifest says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.folder import CARD, MANIFEST, PICTURES, DatasetFolder, Places
from ..data.manifest import Manifest
from ..errors import ZoobenchError
from ..files import sha256_of
from .verify import verify

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SHOWN = 3


@dataclass(frozen=True)
class Upload:
    """What publishing a folder would do: which files under which names, in which commit."""

    folder: DatasetFolder
    repo_id: str
    manifest: Manifest
    paths: tuple[str, ...]
    size: int
    message: str


def plan(folder: Path, repo_id: str) -> Upload:
    """List what would be published.

    Raises:
        ZoobenchError: no manifest or card, or a repo whose name is not the dataset's.
    """
    dataset = DatasetFolder(folder)
    manifest = dataset.manifest
    namespace, _, name = repo_id.partition("/")
    if not namespace or name != manifest.repo:
        raise ZoobenchError(
            f"{folder} holds {manifest.repo}; publish it under that name, e.g. zoobench/{manifest.repo}, "
            f"not {repo_id!r}"
        )
    listed = {entry.path for config in manifest.configs.values() for entry in config.files}
    paths = tuple(sorted({*listed, MANIFEST, CARD}))
    missing = [path for path in paths if not dataset.has(path)]
    if missing:
        raise ZoobenchError(f"{folder} lacks {', '.join(missing[:_SHOWN])}; build or import it again")
    digest = sha256_of(dataset.locate(MANIFEST))
    message = f"{manifest.repo}: {', '.join(manifest.configs)}; manifest sha256 {digest}"
    size = sum(dataset.locate(path).stat().st_size for path in paths)
    return Upload(dataset, repo_id, manifest, paths, size, message)


def check(folder: Path, sample: int, images_folder: Path | None) -> None:
    """Refuse a folder that is not sound.

    Raises:
        ZoobenchError: with the first problems that ``verify`` finds.
    """
    problems = verify(folder, sample=sample, images_folder=images_folder)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more, see zoobench verify" if len(problems) > _SHOWN else ""
        raise ZoobenchError(f"{folder} is not sound and was not published: {'; '.join(problems[:_SHOWN])}{more}")


def publish(what: Upload, private: bool, on_step: Callable[[str], None] = lambda step: None) -> str:
    """Create the Hub dataset if there is none, upload what it lacks, commit once, and look at what is there.

    Args:
        what: from ``plan``; its folder should have passed ``check``.
        private: visibility of a dataset that is created; one that is there keeps its own.
        on_step: told what is being done.

    Returns:
        the URL of the commit.

    Raises:
        ZoobenchError: no token or one that is refused, a dataset that has other configs, or an interrupted upload.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with writing(what.repo_id) as api:
        on_step("creating the dataset")
        api.create_repo(what.repo_id, repo_type="dataset", private=private, exist_ok=True)
        on_step("comparing")
        there = {entry.path: entry for entry in api.list_repo_tree(what.repo_id, recursive=True, repo_type="dataset")}
        if MANIFEST in there:
            _keep_configs(api, what)
        ours = tuple(f"{place}/" for config in what.manifest.configs for place in (*Places(config).folders, PICTURES))
        stale = [
            path
            for path, entry in there.items()
            if hasattr(entry, "blob_id") and path.startswith(ours) and path not in what.paths
        ]
        on_step(f"uploading {len(what.paths)} files, {what.size / 1e9:.2f} GB")
        commit = api.create_commit(
            what.repo_id,
            [
                *(CommitOperationDelete(path) for path in stale),
                *(CommitOperationAdd(path, what.folder.locate(path)) for path in what.paths),
            ],
            commit_message=what.message,
            repo_type="dataset",
        )
        on_step("looking at what is there")
        _compare(api, what, commit.oid)
    return str(commit.commit_url)


def _keep_configs(api: HfApi, what: Upload) -> None:
    """A dataset may gain configs and have them replaced, but not lose any by being published over."""
    remote = DatasetFolder(Path(api.hf_hub_download(what.repo_id, MANIFEST, repo_type="dataset")).parent).manifest
    lost = sorted(set(remote.configs) - set(what.manifest.configs))
    if lost:
        raise ZoobenchError(
            f"{what.repo_id} on the Hub also has {', '.join(lost)}, which {what.folder} lacks; build or import "
            f"{'it' if len(lost) == 1 else 'them'} into the same folder first, nothing was published"
        )


def _compare(api: HfApi, what: Upload, revision: str) -> None:
    """Every listed file is on the Hub with its size, and large ones with the sha256 of the manifest."""
    entries = api.list_repo_tree(what.repo_id, recursive=True, repo_type="dataset", revision=revision)
    found = {entry.path: entry for entry in entries}
    for config in what.manifest.configs.values():
        for file in config.files:
            entry = found.get(file.path)
            lfs = getattr(entry, "lfs", None)
            if entry is None or getattr(entry, "size", -1) != file.size or (lfs and lfs.sha256 != file.sha256):
                raise ZoobenchError(f"{file.path} of {what.repo_id} on the Hub is not what was sent; publish it again")


@contextlib.contextmanager
def writing(repo_id: str) -> Iterator[HfApi]:
    """A client that may write to a Hub dataset; whatever it raises becomes one line, without the token.

    Raises:
        ZoobenchError: no token, one that is refused, or an interrupted upload.
    """
    from huggingface_hub import HfApi, get_token

    # HTTPError is whichever HTTP library's that this version of the client uses.
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    token = get_token()
    if not token:
        raise ZoobenchError(
            f"no Hub token: set HF_TOKEN to one that may write to {repo_id.partition('/')[0]} "
            "(https://huggingface.co/settings/tokens)"
        )
    try:
        yield HfApi(token=token, library_name="zoobench")
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ZoobenchError(
                f"the Hub refused the token ({status}): HF_TOKEN must be one that may write to {repo_id}"
            ) from None
        raise ZoobenchError(_interrupted(repo_id, error, token)) from None
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise ZoobenchError(_interrupted(repo_id, error, token)) from None


def _interrupted(repo_id: str, error: Exception, token: str) -> str:
    reason = next((line for line in str(error.__cause__ or error).splitlines() if line.strip()), type(error).__name__)
    return (
        f"publishing {repo_id} was interrupted ({reason.replace(token, '***').strip()}); it is published whole or "
        "not at all: run the same command again, files that were uploaded are not sent again"
    )
