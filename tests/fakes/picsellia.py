"""A Picsellia that speaks its HTTP: the real SDK talks to it, XGET, pages, signed addresses and all.

It stumbles when told to: `fault("/annotations/ids", 429, times=2)`.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-that-nobody-may-see"
Fault = int | Literal["close", "cut", "too_long", "too_short", "html"]
"""A status; or: end the connection, end it in the middle, announce more or less than is sent, send a web page."""


def named_id(*words: str) -> str:
    """The same id for the same words."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(words)))


@dataclass
class FakeVersion:
    """A dataset version."""

    name: str
    id: str
    assets: list[dict[str, Any]] = field(default_factory=list)
    annotations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By asset id, the newest first."""
    files: dict[str, bytes | Path] = field(default_factory=dict)
    """By object name; an asset whose file is not here answers 404."""
    labels: list[str] = field(default_factory=list)
    tags: dict[str, set[str]] = field(default_factory=dict)
    """Asset ids by tag."""
    added: int = 0
    """How many assets were ever added."""
    type: str = "OBJECT_DETECTION"
    description: str = ""

    def add(self, filename: str, content: bytes, *annotations: dict[str, Any], **data: Any) -> str:
        """Add an asset; its id."""
        self.added += 1
        asset_id = named_id(self.id, "asset", str(self.added))
        object_name = f"datalake/{asset_id}"
        self.assets.append(
            {
                "id": asset_id,
                "data": {
                    "id": named_id(asset_id, "data"),
                    "filename": filename,
                    "object_name": object_name,
                    "type": "IMAGE",
                    "content_type": "image/jpeg",
                    "upload_status": "DONE",
                    "meta": {"width": 64, "height": 48},
                    **data,
                },
            }
        )
        self.files[object_name] = content
        if annotations:
            self.annotations[asset_id] = list(annotations)
        return asset_id

    def read_export(self, folder: Path) -> Self:
        """Serve what lies in a folder in the shape of an export."""
        self.assets = json.loads((folder / "assets.json").read_text())
        self.annotations = json.loads((folder / "annotations.json").read_text())
        by_id = {path.stem: path for path in (folder / "assets").iterdir()}
        for asset in self.assets:
            if path := by_id.get(asset["id"]):
                self.files[asset["data"]["object_name"]] = path
        rectangles = (
            rectangle
            for found in self.annotations.values()
            for annotation in found
            for rectangle in annotation.get("rectangles", [])
        )
        self.labels = sorted({rectangle["label"] for rectangle in rectangles})
        return self


class FakePicsellia:
    """The server. Used as a context."""

    def __init__(self, page: int = 1000) -> None:
        self.page = page
        """Assets a page, at most."""
        self.organisation = "Handful"
        self.owns_organisation = True
        self.datasets: dict[str, dict[str, FakeVersion]] = {}
        self.requests: list[str] = []
        """Method and path of what was asked."""
        self.lake: dict[str, dict[str, Any]] = {}
        """Files that were pushed, by their id."""
        self.objects: dict[str, bytes] = {}
        """Their content, by object name."""
        self.jobs: dict[str, list[str]] = {}
        """The statuses of each job that are still to come; the last one stays."""
        self.job_ends = "SUCCESS"
        """How jobs end that add assets. Those that fail add nothing."""
        self.computing = 1
        """How often new files are listed before the platform has looked into them."""
        self.signature = "signature-1"
        """Of addresses that still work."""
        self._faults: deque[list[Any]] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.uri = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def version(self, dataset: str = "fingers", name: str = "v1") -> FakeVersion:
        """A version, made if it is not there."""
        versions = self.datasets.setdefault(dataset, {})
        return versions.setdefault(name, FakeVersion(name, named_id(dataset, name)))

    def fault(self, path: str, kind: Fault, times: int = 1, **headers: str) -> None:
        """Go wrong the next times that a path is asked for.

        Args:
            path: a regular expression that is found in it.
            kind: how.
            times: how often.
            headers: of the answer, with _ for -.
        """
        self._faults.append([re.compile(path), kind, times, {k.replace("_", "-"): v for k, v in headers.items()}])

    def take_fault(self, path: str) -> tuple[Fault, Mapping[str, str]] | None:
        """The fault that is due."""
        with self._lock:
            for fault in self._faults:
                if fault[2] > 0 and fault[0].search(path):
                    fault[2] -= 1
                    return fault[1], fault[3]
        return None

    def asked(self, pattern: str) -> int:
        """How often a path was asked for."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    fake: FakePicsellia
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_XGET(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_POST(self) -> None:
        self.do_XGET()

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        self.fake.requests.append(f"{self.command} {self.path}")
        fault = self.fake.take_fault(url.path)
        if fault and isinstance(fault[0], int):
            self._json(fault[0], {"message": f"told to answer {fault[0]}"}, fault[1])
        elif fault and fault[0] == "close":
            self.close_connection = True
        elif fault and fault[0] == "html":
            self._send(200, b"<html>a proxy</html>", "text/html")
        elif url.path == "/upload/" and self.command == "POST":
            self._upload(body)
        elif url.path.startswith("/storage/"):
            self._storage(url.path.removeprefix("/storage/"), parse_qs(url.query), fault[0] if fault else None)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json(401, {"message": "Invalid token"})
        else:
            pushed = _pushed(self.fake, self.command, url.path, body)
            status, answer = pushed or _api(self.fake, self.command, url.path, parse_qs(url.query), body)
            self._json(status, answer)

    def _upload(self, body: bytes) -> None:
        """A form as S3 takes it: fields, then the file. It refuses whoever shows a token, too."""
        if "Authorization" in self.headers:
            self._send(400, b"<Error>Only one auth mechanism allowed</Error>", "application/xml")
            return
        kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in message_from_bytes(kind + body).get_payload()
        }
        if parts.get("policy") != b"signed":
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            return
        with self.fake._lock:
            self.fake.objects[parts["key"].decode()] = parts["file"]
        self._send(204, b"", "application/xml")

    def _storage(self, name: str, query: Mapping[str, Sequence[str]], fault: Fault | None) -> None:
        if "Authorization" in self.headers:
            self._send(400, b"<Error>Only one auth mechanism allowed</Error>", "application/xml")
            return
        if query.get("signature") != [self.fake.signature]:
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            return
        versions = [version for found in self.fake.datasets.values() for version in found.values()]
        content = next((version.files[name] for version in versions if name in version.files), None)
        content = self.fake.objects.get(name, content) if content is None else content
        if content is None:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            return
        data = content.read_bytes() if isinstance(content, Path) else content
        announced = {"too_long": len(data) + 100, "cut": len(data), "too_short": len(data) // 2}
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(announced.get(str(fault), len(data))))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault == "cut" else data)
        self.close_connection = fault is not None

    def _json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", headers)

    def _send(self, status: int, data: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


_NOT_FOUND = 404, {"message": "Not found"}


def _api(fake: FakePicsellia, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> tuple[int, Any]:
    """Status and answer of a call."""
    own_id = named_id("organisation", fake.organisation)
    if path == "/api/home/ping":
        default = own_id if fake.owns_organisation else None
        return 200, {"username": "ada", "sdk_version": "6.37.0", "default_organization": default}
    if path == "/api/organizations/find":
        return (200, {"id": own_id}) if query.get("name") == [fake.organisation] else _NOT_FOUND
    if path == f"/api/organization/{own_id}":
        return 200, {"id": own_id, "name": fake.organisation, "default_connector_id": named_id("connector")}
    if path == f"/api/organization/{own_id}/datasets":
        return 200, {"items": [{"id": named_id("dataset", name), "name": name} for name in fake.datasets]}
    if path == f"/api/organization/{own_id}/datasets/find":
        name = query["name"][0]
        found = {"id": named_id("dataset", name), "name": name}
        return (200, found) if name in fake.datasets else _NOT_FOUND
    if match := re.fullmatch(r"/api/dataset/([^/]+)/versions(/find)?", path):
        return _versions(fake, match[1], query.get("version") if match[2] else None)
    if match := re.fullmatch(r"/api/dataset/version/([^/]+)/(.+)", path):
        version = _version_of(fake, match[1])
        return _of_version(fake, version, method, match[2], query, body) if version else _NOT_FOUND
    if match := re.fullmatch(r"/api/data/([^/]+)/presigned-url", path):
        assets = [a for found in fake.datasets.values() for v in found.values() for a in v.assets]
        asset = next((asset for asset in assets if asset["data"]["id"] == match[1]), None)
        return (200, {"presigned_url": _address(fake, asset)}) if asset else _NOT_FOUND
    return _NOT_FOUND


def _pushed(fake: FakePicsellia, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
    """Calls that make datasets, versions and files; None for others."""
    own_id = named_id("organisation", fake.organisation)
    if path == f"/api/organization/{own_id}/datasets" and method == "POST":
        return _new_dataset(fake, json.loads(body)["name"])
    if method == "POST" and (match := re.fullmatch(r"/api/dataset/([^/]+)/versions", path)):
        return _new_version(fake, match[1], json.loads(body))
    if match := re.fullmatch(r"/api/dataset/version/([^/]+)", path):
        version = _version_of(fake, match[1])
        return (200, _described(fake, version)) if version else _NOT_FOUND
    return _stores(fake, method, path, own_id, body)


def _new_dataset(fake: FakePicsellia, name: str) -> tuple[int, Any]:
    if name in fake.datasets:
        return 409, {"message": "There is one of this name"}
    fake.datasets[name] = {}
    return 201, {"id": named_id("dataset", name), "name": name}


def _stores(fake: FakePicsellia, method: str, path: str, own_id: str, body: bytes) -> tuple[int, Any] | None:
    """Calls of the datalake, the object store and of jobs; None for others."""
    connector, lake = named_id("connector"), named_id("lake")
    if path == f"/api/organization/{own_id}/datalake":
        return 200, {"id": lake, "name": "default", "connector_id": connector}
    if path == f"/api/organization/{own_id}/connector/{connector}/generate_object_name":
        return 200, {"object_name": f"pushed/{uuid.uuid4()}/{json.loads(body)['filename']}"}
    if path == f"/api/object-storage/{connector}/generate_presigned_url":
        asked = json.loads(body)
        assert asked["content_type"].startswith("image/"), asked
        fields = {"key": asked["object_name"], "policy": "signed"}
        return 200, {"client_type": "aws", "presigned_url_data": {"url": f"{fake.uri}/upload/", "fields": fields}}
    if path == f"/api/datalake/{lake}/datas":
        return _new_file(fake, json.loads(body)) if method == "POST" else (200, _files(fake, json.loads(body)))
    if match := re.fullmatch(r"/api/job/([^/]+)", path):
        statuses = fake.jobs[match[1]]
        return 200, {"id": match[1], "status": statuses.pop(0) if len(statuses) > 1 else statuses[0]}
    return None


def _new_file(fake: FakePicsellia, asked: dict[str, Any]) -> tuple[int, Any]:
    if asked["object_name"] not in fake.objects:
        return 400, {"message": "There is no such object"}
    data = {**asked, "id": str(uuid.uuid4()), "upload_status": "DONE" if fake.computing < 1 else "COMPUTING"}
    with fake._lock:
        fake.lake[data["id"]] = data
    return 201, data


def _files(fake: FakePicsellia, asked: dict[str, Any]) -> dict[str, Any]:
    """Files by their names. Those that are looked into are done the next time but `computing`."""
    assert asked["upload_statuses"] == ["PENDING", "COMPUTING", "DONE", "ERROR"]
    items = [dict(data) for data in fake.lake.values() if data["filename"] in asked["filenames"]]
    if any(data["upload_status"] == "COMPUTING" for data in items):
        fake.computing -= 1
    for data in fake.lake.values() if fake.computing < 1 else ():
        data["upload_status"] = "DONE" if data["upload_status"] == "COMPUTING" else data["upload_status"]
    return {"items": items, "count": len(items), "next_cursor": None}


def _new_version(fake: FakePicsellia, dataset_id: str, asked: dict[str, Any]) -> tuple[int, Any]:
    name, versions = next((n, v) for n, v in fake.datasets.items() if named_id("dataset", n) == dataset_id)
    if asked["version"] in versions:
        return 409, {"message": "There is one of this name"}
    version = fake.version(name, asked["version"])
    version.type, version.description = asked["type"], asked["description"]
    return 201, _described(fake, version)


def _version_of(fake: FakePicsellia, version_id: str) -> FakeVersion | None:
    return next((v for found in fake.datasets.values() for v in found.values() if v.id == version_id), None)


def _described(fake: FakePicsellia, version: FakeVersion) -> dict[str, Any]:
    name = next(n for n, versions in fake.datasets.items() if version in versions.values())
    return {
        "id": version.id,
        "origin_name": name,
        "origin_id": named_id("dataset", name),
        "version": version.name,
        "type": version.type,
        "description": version.description,
    }


def _versions(fake: FakePicsellia, dataset_id: str, wanted: list[str] | None) -> tuple[int, Any]:
    versions = next(v for n, v in fake.datasets.items() if named_id("dataset", n) == dataset_id)
    items = [_described(fake, version) for version in versions.values()]
    if wanted is None:
        return 200, {"items": items}
    return next(((200, item) for item in items if item["version"] == wanted[0]), _NOT_FOUND)


def _changed(fake: FakePicsellia, version: FakeVersion, what: str, asked: dict[str, Any]) -> tuple[int, Any]:
    """A POST to a version."""
    if what == "labels":
        if asked["name"] in version.labels:
            return 409, {"message": "There is one of this name"}
        version.labels.append(asked["name"])
        return 201, {"id": named_id("label", asked["name"]), "name": asked["name"]}
    if what == "assets":
        job = str(uuid.uuid4())
        fake.jobs[job] = ["RUNNING", fake.job_ends]
        shown = {asset["data"]["id"] for asset in version.assets}
        for data_id in asked["data_ids"] if fake.job_ends == "SUCCESS" else ():
            if data_id not in shown:
                asset_id = named_id(version.id, "asset", data_id)
                version.assets.append({"id": asset_id, "data": fake.lake[data_id]})
        return 200, {"job": {"id": job, "status": "RUNNING"}}
    if what == "bulk-annotations":
        return _annotated(version, asked)
    return _NOT_FOUND


def _annotated(version: FakeVersion, asked: dict[str, Any]) -> tuple[int, Any]:
    """Annotations as the SDK's import sends them: with whole numbers, and labels by their ids."""
    assert asked["import_type"] == "REPLACE"
    names, done = {named_id("label", name): name for name in version.labels}, {}
    known = {asset["id"] for asset in version.assets}
    for found in asked["annotations"]:
        if found["asset_id"] not in known:
            return 400, {"message": "There is no such asset"}
        shapes = {
            kind: [{**shape, "label": names[shape["label_id"]]} for shape in found[kind]]
            for kind in ("rectangles", "polygons", "classifications")
        }
        assert all(type(shape[side]) is int for shape in shapes["rectangles"] for side in "xywh")
        version.annotations[found["asset_id"]] = [{"status": asked.get("status", "PENDING"), **shapes}]
        done[found["asset_id"]] = sum(map(len, shapes.values()))
    return 200, done


def _of_version(
    fake: FakePicsellia, version: FakeVersion, method: str, what: str, query: Mapping[str, list[str]], body: bytes
) -> tuple[int, Any]:
    if method == "POST" and what in {"labels", "assets", "bulk-annotations"}:
        return _changed(fake, version, what, json.loads(body))
    if what == "labels":
        return 200, {"items": [{"id": named_id("label", name), "name": name} for name in version.labels]}
    if what == "tags":
        return 200, {"items": [{"id": named_id("tag", t), "name": t, "target_type": "ASSET"} for t in version.tags]}
    if what == "assets":
        return 200, _page(fake, version, query)
    ids = {named_id(a, str(n)): (a, n) for a, found in version.annotations.items() for n, _ in enumerate(found)}
    if what == "annotations/ids":
        return 200, list(ids)
    if what == "annotations" and method == "XGET":
        asked = [(i, *ids[i]) for i in json.loads(body)]
        return 200, [{**version.annotations[a][n], "id": i, "asset_id": a} for i, a, n in asked]
    return _NOT_FOUND


def _page(fake: FakePicsellia, version: FakeVersion, query: Mapping[str, list[str]]) -> dict[str, Any]:
    assert query["upload_statuses"] == ["PENDING", "COMPUTING", "DONE", "ERROR"]
    assets = version.assets
    if "q" in query:
        match = re.fullmatch(r'tags\.name in \("(.*)"\)', query["q"][0])
        assert match
        assets = [asset for asset in assets if asset["id"] in version.tags[match[1].replace('\\"', '"')]]
    start = int(query.get("cursor", ["0"])[0])
    end = start + min(int(query["limit"][0]), fake.page)
    items = [
        {**asset, "data": {**asset["data"], "presigned_url": _address(fake, asset)}} if asset["data"] else asset
        for asset in assets[start:end]
    ]
    return {"items": items, "count": len(assets), "next_cursor": str(end) if end < len(assets) else None}


def _address(fake: FakePicsellia, asset: dict[str, Any]) -> str:
    return f"{fake.uri}/storage/{asset['data']['object_name']}?signature={fake.signature}"
