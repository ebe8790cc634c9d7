"""A server with as much of the Hugging Face hub's protocol as a download uses; one model, in memory."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

MODEL = "somebody/tiny-clip"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(ThreadingHTTPServer):
    """``files`` by path; ``asked`` has the paths of files that were fetched."""

    files: dict[str, bytes]
    asked: list[str]
    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = urlparse(self.path).path.strip("/")
        if path in {f"api/models/{MODEL}/tree/{revision}" for revision in ("main", COMMIT)}:
            files = [
                {"type": "file", "path": name, "size": len(content), "oid": "0"}
                for name, content in self.server.files.items()
            ]
            return self._reply(200, json.dumps(files).encode(), Content_Type="application/json")
        if path == f"api/models/{MODEL}/revision/main":
            found = {"id": MODEL, "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.server.files]}
            return self._reply(200, json.dumps(found).encode(), Content_Type="application/json")
        name = path.removeprefix(f"{MODEL}/resolve/{COMMIT}/")
        if name == path or name not in self.server.files:
            return self._reply(404, b"", X_Error_Code="RepoNotFound")
        content = self.server.files[name]
        if self.command == "GET":
            self.server.asked.append(name)
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self._reply(200, content, ETag=etag, X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.files, server.asked = files, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
