"""The plan as the operator's own builder writes it; where plans come from."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from recstack_gateway import plan, plan_source, repository
from recstack_gateway.errors import Refused, Unavailable
from recstack_gateway.plan import Plan
from recstack_gateway.plan_source import PlanSource

GOLDEN = Path(__file__).parents[2] / "golden" / "controllers"


def _text(generation: int, live: str | None = None) -> str:
    seen = {"enabled": True, "ttlSeconds": 60, "capacity": 10, "errorRate": 0.1}
    serving = {"topK": 5, "candidates": 10, "seenFilter": seen}
    return json.dumps(
        {"generation": generation, "live": live, "versions": [], "drain": [], "serving": serving}
    )


def test_the_operators_plan_is_read() -> None:
    manifest = yaml.safe_load((GOLDEN / "plan.yaml").read_text())
    text = manifest["data"]["plan.json"].replace('"sha256:00"', f'"sha256:{"0" * 64}"')
    written, read = json.loads(text), plan.parse(text)
    assert [one.name for one in read.versions] == [one["name"] for one in written["versions"]]
    assert (read.live, read.generation) == (written["live"], written["generation"])
    assert read.serving.seen_filter.ttl_seconds == written["serving"]["seenFilter"]["ttlSeconds"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"generation": "x"}'])
def test_no_plan(content: str) -> None:
    with pytest.raises(ValueError, match="the serving plan is unreadable"):
        plan.parse(content)


class Watched:
    """An API server that follows a script: texts, and None where it goes away."""

    def __init__(self, *script: str | None) -> None:
        self._script = list(script)
        self.over = asyncio.Event()

    async def watch(self, name: str) -> AsyncIterator[dict[str, str]]:
        assert name == "films-plan"
        while self._script:
            text = self._script.pop(0)
            if text is None:
                raise Unavailable("away")
            yield {"plan.json": text}
        self.over.set()
        await asyncio.sleep(60)

    async def binary(self, name: str) -> dict[str, str]:
        raise Unavailable(name)


async def _taken(file: Path, *script: str | None) -> list[int]:
    taken: list[Plan] = []
    watched = Watched(*script)
    task = asyncio.create_task(PlanSource(watched, "films-plan", file, taken.append).run())
    await asyncio.wait_for(watched.over.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [one.generation for one in taken]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_source, "RETRY_SECONDS", 0)


async def test_each_new_plan_is_taken_once(tmp_path: Path) -> None:
    assert await _taken(tmp_path / "none", _text(1), _text(1), _text(2), "{", _text(2), _text(3)) == [1, 2, 3]


async def test_the_file_counts_only_while_the_api_server_is_away_and_only_when_newer(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(_text(2))
    assert await _taken(file, None, _text(3), None, _text(3)) == [2, 3]


async def test_the_api_server_may_go_back(tmp_path: Path) -> None:
    """A stack that was made anew counts its plans from 1."""
    assert await _taken(tmp_path / "none", _text(9), None, _text(1)) == [9, 1]


def test_a_repository_comes_back_from_its_configmap() -> None:
    manifest: dict[str, Any] = yaml.safe_load((GOLDEN / "repository.yaml").read_text())
    files = repository.decode(manifest["binaryData"])
    assert all("/" in path and "__" not in path for path in files)


@pytest.mark.parametrize("path", ["other/1/model.py", "../x", "recommender--v/../../x", "recommender--v2/x"])
def test_files_of_another_version_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Refused, match="not of version v"):
        repository.write(tmp_path, "v", "repo", {path: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_link_follows_the_package(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "packages" / name).mkdir(parents=True)
    repository.write(tmp_path / "repository", "v", "repo", {"recommender--v/1/model.py": b""})
    assert repository.written(tmp_path / "repository", "v", "repo")
    assert not repository.written(tmp_path / "repository", "v", "another")
    for name in ("one", "two", "two"):
        repository.link(tmp_path / "repository", "v", tmp_path / "packages" / name)
        link = tmp_path / "repository" / "recommender--v" / "1" / "package"
        assert link.resolve() == tmp_path / "packages" / name
        assert not link.readlink().is_absolute()
