"""A Hub on loopback that takes uploads: what ``zoobench serve`` reads, plus creating, preupload, LFS and commits.

Test code, not a feature. A repo is a folder below ``root``; a commit becomes visible at once or not at all. A proxy in
front of it can cut connections.
"""

import base64
import contextlib
import hashlib
import json
import shutil
import socket
import threading
import time

import uvicorn
import yaml
from huggingface_hub import DatasetCardData
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from zoobench.publishing.serve import application

TOKEN = "hf_the_right_token"


class LoopbackHub:
    """``log`` has (method, path, bytes received or sent) of every request; ``commits`` the messages, ``pulls`` folders
    as they would be after each pull request."""

    def __init__(self, root):
        self.root = root
        self.objects = root / ".objects"
        self.objects.mkdir(parents=True)
        self.repos = {}
        self.private = {}
        self.commits = []
        self.pulls = []
        self.log = []

    def folder(self, repo_id):
        return self.repos[repo_id]

    def application(self):
        repo = "{namespace}/{name}"
        routes = [
            Route("/api/validate-yaml", self.validate, methods=["POST"]),
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route(f"/api/datasets/{repo}/preupload/{{revision}}", self.preupload, methods=["POST"]),
            Route(f"/api/datasets/{repo}/commit/{{revision}}", self.commit, methods=["POST"]),
            Route("/datasets/{namespace}/{name:path}.git/info/lfs/objects/batch", self.batch, methods=["POST"]),
            Route("/objects/{oid}", self.put, methods=["PUT"]),
            Mount("/", self.read),
        ]
        return self.logged(Starlette(routes=routes))

    def logged(self, app):
        async def call(scope, receive, send):
            entry = [scope.get("method"), scope["path"], 0]

            async def counting_receive():
                message = await receive()
                entry[2] += len(message.get("body", b""))
                return message

            async def counting_send(message):
                entry[2] += len(message.get("body", b""))
                await send(message)

            if scope["type"] == "http":
                self.log.append(entry)
            await app(scope, counting_receive, counting_send)

        return call

    async def read(self, scope, receive, send):
        """Everything else is a read of what is committed."""
        await application(dict(self.repos))(scope | {"root_path": ""}, receive, send)

    def refused(self, request):
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "Invalid credentials in Authorization header"}, 401)
        return None

    async def validate(self, request):
        front = (await request.json())["content"].split("---")[1]
        try:
            DatasetCardData(**yaml.safe_load(front))
        except (TypeError, ValueError) as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def create(self, request):
        if refusal := self.refused(request):
            return refusal
        body = await request.json()
        repo_id = f"{body['organization']}/{body['name']}"
        url = f"{request.base_url}datasets/{repo_id}"
        if repo_id in self.repos:
            return JSONResponse({"url": url, "error": "You already created this dataset repo"}, 409)
        self.repos[repo_id] = self.root / repo_id.replace("/", "--") / body["name"]
        self.repos[repo_id].mkdir(parents=True)
        self.private[repo_id] = body.get("visibility") == "private"
        return JSONResponse({"url": url, "name": repo_id, "id": repo_id})

    async def preupload(self, request):
        if refusal := self.refused(request):
            return refusal
        files = (await request.json())["files"]
        large = (".parquet", ".png")
        return JSONResponse(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(large) else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    async def batch(self, request):
        if refusal := self.refused(request):
            return refusal
        objects = []
        for wanted in (await request.json())["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if not (self.objects / wanted["oid"]).exists():
                answer["actions"] = {"upload": {"href": f"{request.base_url}objects/{wanted['oid']}", "header": {}}}
            objects.append(answer)
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def put(self, request):
        try:
            content = b"".join([chunk async for chunk in request.stream()])
        except ClientDisconnect:
            return Response(status_code=400)
        oid = request.path_params["oid"]
        if hashlib.sha256(content).hexdigest() != oid:
            return Response(status_code=400)
        (self.objects / oid).write_bytes(content)
        return Response()

    async def commit(self, request):
        if refusal := self.refused(request):
            return refusal
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        folder = self.repos[f"{request.path_params['namespace']}/{request.path_params['name']}"]
        proposed = request.query_params.get("create_pr") == "1"
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.copytree(folder, fresh)
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
                continue
            path = fresh / value["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "file":
                path.write_bytes(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if not (self.objects / value["oid"]).exists():
                    shutil.rmtree(fresh)
                    return JSONResponse({"error": f"object {value['oid']} was never uploaded"}, 400)
                shutil.copy(self.objects / value["oid"], path)
            else:
                assert line["key"] == "deletedFile"
                path.unlink()
        if proposed:
            number = len(self.pulls) + 1
            self.pulls.append(fresh.rename(folder.with_name(f".{folder.name}.pr{number}")))
            url = f"{request.base_url}datasets/{request.path_params['namespace']}/{folder.name}"
            return JSONResponse(
                {
                    "success": True,
                    "commitOid": "0" * 40,
                    "commitUrl": f"{url}/commit/{'0' * 40}",
                    "pullRequestUrl": f"{url}/discussions/{number}",
                    "hookOutput": "",
                }
            )
        shutil.rmtree(folder)
        fresh.rename(folder)
        oid = hashlib.sha1((folder / "manifest.json").read_bytes()).hexdigest()
        url = f"{request.base_url}datasets/{request.path_params['namespace']}/{folder.name}/commit/{oid}"
        return JSONResponse({"success": True, "commitOid": "main", "commitUrl": url, "hookOutput": ""})


@contextlib.contextmanager
def running(hub):
    """The hub on a free port; yields its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(hub.application(), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


class CuttingProxy:
    """Passes bytes on to a server and cuts a connection after ``limit`` bytes one way, at most ``cuts`` times."""

    def __init__(self, url, direction, limit, cuts):
        self.target = int(url.rsplit(":", 1)[1])
        self.direction, self.limit, self.left = direction, limit, cuts
        self.cut = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                for source, sink, way in ((client, server, "up"), (server, client, "down")):
                    threading.Thread(target=self._pass, args=(source, sink, way), daemon=True).start()

    def _pass(self, source, sink, way):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                passed += len(data)
                if way == self.direction and passed > self.limit and self.left > 0:
                    self.left -= 1
                    self.cut += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
