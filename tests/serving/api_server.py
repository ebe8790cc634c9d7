"""The part of the Kubernetes API that a gateway uses: get and watch of ConfigMaps, over real HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse


class ApiServer:
    """ConfigMaps of one namespace; ``put`` reaches all watches at once."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def put(self, name: str, **content: dict[str, str]) -> None:
        with self._changed:
            self._version += 1
            metadata = {"name": name, "namespace": "shop", "resourceVersion": str(self._version)}
            self._objects[name] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
            self._changed.notify_all()

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                url = urlparse(self.path)
                query = parse_qs(url.query)
                if "watch" in query:
                    outer._watch(self, query)
                else:
                    outer._get(self, url.path.rsplit("/", 1)[1])

        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def stop(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        cluster = {"name": "t", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "t", "context": {"cluster": "t", "user": "t", "namespace": "shop"}}
        value = {"apiVersion": "v1", "kind": "Config", "current-context": "t", "clusters": [cluster]}
        path.write_text(json.dumps(value | {"contexts": [context], "users": [{"name": "t", "user": {}}]}))
        return path

    def _get(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        found = None if self._closed else self._objects.get(name)
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": 404,
            "reason": "NotFound",
        }
        content = json.dumps(found or status).encode()
        handler.send_response(200 if found else 404)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)

    def _watch(self, handler: BaseHTTPRequestHandler, query: dict[str, list[str]]) -> None:
        name = query["fieldSelector"][0].removeprefix("metadata.name=")
        seen = int(query["resourceVersion"][0])
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        while True:
            with self._changed:
                while not (self._closed or self._newer(name, seen)):
                    self._changed.wait()
                if self._closed:
                    return
                found = self._objects[name]
            seen = int(found["metadata"]["resourceVersion"])
            event = {"type": "MODIFIED", "object": found}
            try:
                handler.wfile.write(json.dumps(event).encode() + b"\n")
                handler.wfile.flush()
            except OSError:
                return

    def _newer(self, name: str, seen: int) -> bool:
        return name in self._objects and int(self._objects[name]["metadata"]["resourceVersion"]) > seen
