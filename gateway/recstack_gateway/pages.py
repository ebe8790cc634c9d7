"""The storefront: a page for people to try the recommender. Static files, of this package only."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from recstack_gateway.problems import Problem

FOLDER = Path(__file__).parent / "storefront"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    # Nothing from elsewhere, nothing inline: what a catalog's titles hold can never run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A pod of another version may answer the next request: ask each time whether the file is still this.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    tag: str


class Pages:
    """The files, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.name: _File(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
            for path in sorted(folder.iterdir())
            if path.suffix in _TYPES
            for content in [path.read_bytes()]
        }

    def add_to(self, app: FastAPI) -> None:
        """Add the routes; they are for browsers, so OpenAPI does not list them."""
        app.add_api_route("/", self.file, methods=["GET", "HEAD"], include_in_schema=False)
        app.add_api_route("/storefront/{name}", self.file, methods=["GET", "HEAD"], include_in_schema=False)

    async def file(self, request: Request) -> Response:
        """One file; ``/`` is the page."""
        name = request.path_params.get("name", "index.html")
        file = self._files.get(name)
        if file is None:
            raise Problem(404, f"the storefront has no file {name[:100]!r}")
        headers = HEADERS | {"ETag": file.tag}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)
