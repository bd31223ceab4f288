"""A read-only Hub on loopback: dataset folders behind the Hub's HTTP protocol.

For trying a zoo before it is published and for clusters without internet: with ``HF_ENDPOINT`` set to its address,
``datasets`` and ``huggingface_hub`` work as they do against the real Hub. Serves repo info, file trees and file
contents with Range and ETag. A folder ``tetris-zoo`` is served as the dataset ``zoobench/tetris-zoo``.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..data import hub
from ..data.digests import digest_of
from ..data.folder import MANIFEST, DatasetFolder
from ..errors import ZoobenchError
from ..zoos import HUB_NAMESPACE

_REPO = "{namespace}/{name}"


def dataset_folders(directory: Path) -> dict[str, Path]:
    """Hub ids of the dataset folders at or directly below ``directory``; below it, what is broken is left out.

    Raises:
        ZoobenchError: there is none, or the one at ``directory`` is broken.
    """
    if not directory.is_dir():
        raise ZoobenchError(f"no folder {directory}; build a zoo first: zoobench build tetris-zoo/seed")
    itself = DatasetFolder(directory)
    found = [itself] if itself.is_there and itself.manifest else []
    paths = [folder.path.resolve() for folder in (*found, *hub.dataset_folders(directory))]
    folders = {f"{HUB_NAMESPACE}/{path.name}": path for path in paths}
    if not folders:
        raise ZoobenchError(f"no dataset folder (with {MANIFEST}) in {directory}; `zoobench build` makes one")
    return folders


class _Repo:
    """One served dataset folder, read anew on every request. A file's ETag is its sha256, as for the Hub's large ones.

    Attributes:
        mark: goes into the commit id: with another mark, the same files are another commit.
    """

    def __init__(self, repo_id: str, folder: Path, mark: str) -> None:
        self.repo_id = repo_id
        self.folder = folder
        self.mark = mark

    def files(self) -> list[Path]:
        visible = (
            path
            for path in sorted(self.folder.rglob("*"))
            if not any(part.startswith(".") for part in self.name(path).split("/"))
        )
        home = self.folder.resolve()
        return [path for path in visible if path.is_file() and path.resolve().is_relative_to(home)]

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def revision(self) -> str:
        """A commit id: 40 hex digits from the bytes of all files, whatever the manifest says of them."""
        digest = hashlib.sha1(self.mark.encode(), usedforsecurity=False)
        for path in self.files():
            digest.update(f"{self.name(path)} {digest_of(path)}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def check_revision(self, revision: str) -> str:
        current = self.revision()
        if revision not in ("main", current):
            raise _not_found("RevisionNotFound", f"no revision {revision} of {self.repo_id}")
        return current

    def entry(self, path: Path) -> dict[str, object]:
        etag, size = digest_of(path), path.stat().st_size
        entry: dict[str, object] = {"type": "file", "oid": etag[:40], "size": size, "path": self.name(path)}
        if path.suffix == ".parquet":
            entry["lfs"] = {"oid": etag, "size": size, "pointerSize": 134}
        return entry

    def directories(self) -> list[str]:
        found = {parent.as_posix() for path in self.files() for parent in Path(self.name(path)).parents}
        return sorted(found - {"."})


def _not_found(code: str, message: str) -> HTTPException:
    # ascii() escapes what a requested name may smuggle into a header.
    return HTTPException(404, message, {"X-Error-Code": code, "X-Error-Message": ascii(message)[1:-1]})


def _directory_entry(name: str) -> dict[str, object]:
    oid = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": name}


class _Hub:
    """The request handlers, over a fixed set of repos."""

    def __init__(self, repos: dict[str, Path], mark: str) -> None:
        self.repos = {repo_id: _Repo(repo_id, folder, mark) for repo_id, folder in repos.items()}

    def _repo(self, request: Request) -> _Repo:
        repo_id = f"{request.path_params['namespace']}/{request.path_params['name']}"
        if repo_id not in self.repos:
            raise _not_found("RepoNotFound", f"no dataset {repo_id} here; served: {', '.join(self.repos) or 'none'}")
        return self.repos[repo_id]

    def info(self, request: Request) -> Response:
        repo = self._repo(request)
        revision = repo.check_revision(request.path_params.get("revision", "main"))
        return JSONResponse(
            {
                "_id": revision[:24],
                "id": repo.repo_id,
                "author": HUB_NAMESPACE,
                "sha": revision,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": repo.name(path)} for path in repo.files()],
            }
        )

    def tree(self, request: Request) -> Response:
        repo = self._repo(request)
        repo.check_revision(request.path_params["revision"])
        under = request.path_params.get("path", "").strip("/")
        recursive = request.query_params.get("recursive", "").lower() in ("1", "true")
        entries = [_directory_entry(name) for name in repo.directories()] + [repo.entry(path) for path in repo.files()]
        prefix = f"{under}/" if under else ""
        below = [entry for entry in entries if str(entry["path"]).startswith(prefix)]
        if under and not below:
            raise _not_found("EntryNotFound", f"{under!r} does not exist in {repo.repo_id}")
        if not recursive:
            below = [entry for entry in below if "/" not in str(entry["path"])[len(prefix) :]]
        return JSONResponse(below)

    async def paths_info(self, request: Request) -> Response:
        repo = self._repo(request)
        repo.check_revision(request.path_params["revision"])
        if request.headers.get("content-type", "").startswith("application/json"):
            wanted = (await request.json()).get("paths", [])
        else:
            wanted = urllib.parse.parse_qs((await request.body()).decode()).get("paths", [])
        names = {str(path).strip("/") for path in ([wanted] if isinstance(wanted, str) else wanted)}
        found = [repo.entry(path) for path in repo.files() if repo.name(path) in names]
        found += [_directory_entry(name) for name in repo.directories() if name in names]
        return JSONResponse(found)

    def resolve(self, request: Request) -> Response:
        repo = self._repo(request)
        revision = repo.check_revision(request.path_params["revision"])
        name = request.path_params["path"]
        path = next((path for path in repo.files() if repo.name(path) == name), None)
        headers = {"X-Repo-Commit": revision}
        if path is None:
            missing = _not_found("EntryNotFound", f"{name!r} does not exist in {repo.repo_id}")
            missing.headers = {**(missing.headers or {}), **headers}
            raise missing
        headers["ETag"] = f'"{digest_of(path)}"'
        return FileResponse(path, headers=headers)


def application(repos: dict[str, Path], mark: str = "") -> Starlette:
    """The ASGI application that serves ``repos``: Hub id -> dataset folder. ``mark`` goes into the commit ids."""
    handlers = _Hub(repos, mark)
    return Starlette(
        routes=[
            Route(f"/api/datasets/{_REPO}", handlers.info),
            Route(f"/api/datasets/{_REPO}/revision/{{revision:path}}", handlers.info),
            Route(f"/api/datasets/{_REPO}/tree/{{revision}}", handlers.tree),
            Route(f"/api/datasets/{_REPO}/tree/{{revision}}/{{path:path}}", handlers.tree),
            Route(f"/api/datasets/{_REPO}/paths-info/{{revision}}", handlers.paths_info, methods=["POST"]),
            Route(f"/datasets/{_REPO}/resolve/{{revision}}/{{path:path}}", handlers.resolve),
        ]
    )


def run(directory: Path, port: int) -> None:
    """Serve until interrupted.

    Raises:
        ZoobenchError: no dataset folder, or the port is taken.
    """
    repos = dataset_folders(directory)
    with _listen(port) as listener:
        uvicorn.Server(uvicorn.Config(application(repos), log_level="warning")).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ZoobenchError(f"cannot listen on 127.0.0.1:{port} ({error.strerror}); choose another --port") from error
    return listener


@contextlib.contextmanager
def running(directory: Path, mark: str = "") -> Iterator[str]:
    """Serve on a free port in a background thread for the length of a ``with`` block; yields the endpoint URL.

    ``mark`` goes into the commit ids.
    """
    listener = _listen(0)
    server = uvicorn.Server(uvicorn.Config(application(dataset_folders(directory), mark), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
