"""The routes for people who look around, in the whole application."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from recstack_gateway import pages
from recstack_gateway.api import Api
from recstack_gateway.loader import Loader
from recstack_gateway.plan import Plan, PlannedVersion, SeenFilter, Serving
from recstack_gateway.version import Version
from recstack_gateway.versions import Versions

from tests.serving.sample_package import FILMS, RETAIL, SamplePackage
from tests.unit.gateway.test_versions import FakeTriton

PROBLEM = "application/problem+json"


class App:
    """A gateway that has ``packages`` on disk; ``live`` makes one answer."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        triton = FakeTriton(folder)
        self.versions = Versions(triton, Loader(triton, self._no_repository, folder))
        app = Api(self.versions, None, "shop/retail", lambda: True).app()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pod")

    async def _no_repository(self, name: str) -> dict[str, str]:
        raise AssertionError(name)

    def live(self, name: str, digest: str) -> None:
        planned = PlannedVersion(name=name, digest=digest, repo="", artifacts="")
        seen = SeenFilter(enabled=True, ttl_seconds=60, capacity=10, error_rate=0.1)
        serving = Serving(top_k=10, candidates=30, seen_filter=seen)
        holding = self.versions._holding
        holding.plan = Plan(generation=1, live=name, versions=(planned,), drain=(), serving=serving)
        holding.route = Version(planned)

    async def get(self, path: str, status: int = 200) -> Any:
        response = await self.client.get(path)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == ("application/json" if status == 200 else PROBLEM)
        return response.json()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    made = App(tmp_path)
    async with made.client:
        yield made


@pytest.fixture
def digests(tmp_path: Path) -> dict[str, str]:
    schemas = {"retail": RETAIL, "films": FILMS}
    return {name: SamplePackage(schema, 1).write(tmp_path, name) for name, schema in schemas.items()}


async def test_nothing_is_live_yet(app: App) -> None:
    for path in ("/v1/schema", "/v1/items"):
        problem = await app.get(path, 503)
        assert "no version is live" in problem["detail"]


async def test_the_live_version_is_told(app: App, digests: dict[str, str]) -> None:
    app.live("retail", digests["retail"])
    schema = await app.get("/v1/schema")
    assert (schema["version"], schema["top_k"], schema["seen_filter"]) == ("retail", 10, False)
    assert [one["column"] for one in schema["context"]] == ["device_type", "timestamp"]
    app.live("films", digests["films"])
    schema = await app.get("/v1/schema")
    assert (schema["version"], schema["context"], schema["users"]["column"]) == ("films", [], "viewer")
    assert set((await app.get("/v1/items?limit=1"))["items"][0]["features"]) == {"genre"}


async def test_pages_of_items(app: App, digests: dict[str, str]) -> None:
    app.live("retail", digests["retail"])
    first = await app.get("/v1/items")
    assert (len(first["items"]), first["next"]) == (24, 1023)
    last = await app.get("/v1/items?after=1390&limit=100")
    assert ([one["id"] for one in last["items"]], last["next"]) == (list(range(1391, 1400)), None)
    found = await app.get("/v1/items?query=t%C3%ADtulo%201007")
    assert [one["title"] for one in found["items"]] == ["Título 1007"]
    chosen = await app.get("/v1/items?id=1300&id=7&id=1001")
    assert [one["id"] for one in chosen["items"]] == [1300, 1001]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("after=9223372036854775808", "after"),
        ("after=NaN", "after"),
        ("id=1.5", "id"),
        ("id=-9223372036854775809", "id"),
        ("&".join(f"id={n}" for n in range(101)), "id"),
        ("query=" + "x" * 201, "query"),
    ],
)
async def test_bad_parameters_are_problems(app: App, digests: dict[str, str], words: str, place: str) -> None:
    app.live("retail", digests["retail"])
    problem = await app.get(f"/v1/items?{words}", 422)
    assert problem["status"] == 422
    assert place in problem["detail"]


async def test_a_package_that_is_pulled_again_is_no_failure(app: App, digests: dict[str, str]) -> None:
    app.live("retail", digests["retail"])
    folder = app.packages / digests["retail"].removeprefix("sha256:")
    folder.rename(folder.with_name("away"))
    assert "cannot be read now" in (await app.get("/v1/schema", 503))["detail"]
    folder.with_name("away").rename(folder)
    assert (await app.get("/v1/schema"))["version"] == "retail"
    shutil.rmtree(folder)
    assert (await app.get("/v1/items"))["version"] == "retail"


async def test_openapi_has_the_routes_with_their_replies(app: App) -> None:
    document = (await app.client.get("/openapi.json")).json()
    for path in ("/v1/schema", "/v1/items"):
        responses = document["paths"][path]["get"]["responses"]
        assert "$ref" in responses["200"]["content"]["application/json"]["schema"]
        assert PROBLEM in responses["default"]["content"]
    body = document["paths"]["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    name = body["$ref"].removeprefix("#/components/schemas/")
    assert document["components"]["schemas"][name]["properties"]["explain"]["type"] == "boolean"
    assert "/" not in document["paths"]


@pytest.mark.parametrize("name", sorted(path.name for path in pages.FOLDER.iterdir()))
async def test_files_of_the_page(app: App, name: str) -> None:
    response = await app.client.get(f"/storefront/{name}")
    assert response.content == (pages.FOLDER / name).read_bytes()
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    tag = response.headers["etag"]
    again = await app.client.get(f"/storefront/{name}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    # No address of another host, but the namespace of SVG.
    assert not re.search(r"(https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9]+\.[a-z]", response.text)


async def test_the_page_itself(app: App) -> None:
    response = await app.client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', response.text):
        assert (await app.client.get(address)).status_code == 200
    assert not re.search(r"<style|style=|onclick|<script>", response.text)
    head = await app.client.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/storefront/no.js", "/storefront/..%2Fapi.py", "/storefront/%00"])
async def test_no_other_file(app: App, path: str) -> None:
    await app.get(path, 404)
