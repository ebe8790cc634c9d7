"""A server that speaks as much of S3's protocol as the steps use; one bucket, one key pair, in memory."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape

BUCKET, ACCESS_KEY = "things", "known"


class Server(ThreadingHTTPServer):
    """``objects`` by key. ``broken``: every answer is 503."""

    objects: dict[str, bytes]
    broken = False
    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _reply(self, status: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refused(self) -> bool:
        bucket = self.path.lstrip("/").split("/")[0].split("?")[0]
        credential = f"Credential={ACCESS_KEY}/"
        if self.server.broken:
            status, code = 503, "SlowDown"
        elif credential not in self.headers.get("Authorization", ""):
            status, code = 403, "InvalidAccessKeyId"
        elif bucket != BUCKET:
            status, code = 404, "NoSuchBucket"
        else:
            return False
        self._reply(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
        return True

    @property
    def _key(self) -> str:
        return unquote(urlparse(self.path).path.removeprefix(f"/{BUCKET}").lstrip("/"))

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._refused():
            self.server.objects[self._key] = body
            self._reply(200)

    def do_DELETE(self) -> None:
        if not self._refused():
            self.server.objects.pop(self._key, None)
            self._reply(204)

    def do_HEAD(self) -> None:
        if not self._refused():
            body = self.server.objects.get(self._key)
            self._reply(404) if body is None else self._reply(200, b"", len(body))

    def do_GET(self) -> None:
        if self._refused():
            return
        if self._key:
            body = self.server.objects.get(self._key)
            self._reply(404, b"<Error><Code>NoSuchKey</Code></Error>") if body is None else self._reply(
                200, body
            )
            return
        asked = parse_qs(urlparse(self.path).query)
        prefix, delimiter = (asked.get(name, [""])[0] for name in ("prefix", "delimiter"))
        rows, below = "", set()
        for key, body in sorted(self.server.objects.items()):
            if not key.startswith(prefix):
                continue
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                below.add(f"{prefix}{head}{delimiter}")
            else:
                rows += f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size></Contents>"
        for one in sorted(below):
            rows += f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
        self._reply(
            200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
        )


@contextmanager
def serve() -> Iterator[Server]:
    """A running server on a free port of the loopback."""
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.objects = {}
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
