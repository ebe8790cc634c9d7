"""What a pod does with its versions, against a Triton in memory that fails as the real one does."""

import asyncio
import base64
import functools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from recstack_gateway import life, plan, proof, room
from recstack_gateway.errors import Refused, Unavailable
from recstack_gateway.loader import Loader
from recstack_gateway.metrics import Waited
from recstack_gateway.plan import Plan
from recstack_gateway.triton import InferenceFailed
from recstack_gateway.versions import Versions
from recstack_triton_templates import package
from recstack_triton_templates.graph import STAGES, part_name, split_name
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import PACKAGE_LINK, ServingSettings, model_name, render

from tests.serving.sample_package import NOW, RETAIL, SamplePackage

POISON = b'{"user_id": 666}'


class FakeTriton:
    """Answers with the real stages. ``dead``: models whose process has died; Triton calls them ready.

    As the real one it loads the parts of an ensemble with it, leaves them when it goes, and takes it down
    with a part.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self.models: dict[str, Recommender] = {}
        self.parts: set[str] = set()
        self.dead: set[str] = set()
        self.away = self.slow = False
        self.refuse: str = ""
        self.calls: list[str] = []

    async def infer(self, model: str, content: bytes) -> bytes:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("Triton: away")
        if self.slow:
            raise InferenceFailed("Deadline Exceeded", late=True)
        if model not in self.models:
            raise InferenceFailed("unknown model")
        if model in self.dead or content == POISON:
            raise InferenceFailed("stub process is not healthy")
        return self.models[model].answer(content)

    async def load(self, model: str) -> None:
        self._note(f"load {model}")
        if self.refuse:
            raise Refused(self.refuse)
        version = split_name(model)[1]
        self.parts |= {one.name for one in self._repository.glob(f"*--{version}") if one.name != model}
        loaded = package.load(self._repository / model / PACKAGE_LINK)
        self.models[model] = Recommender(loaded, ServingSettings(), None, lambda: float(NOW))
        self.dead.discard(model)

    async def unload(self, model: str) -> None:
        self._note(f"unload {model}")
        self.models.pop(model, None)
        if model in self.parts:
            self.parts.remove(model)
            self.models.pop(model_name(split_name(model)[1]), None)

    async def loaded(self) -> set[str]:
        if self.away:
            raise Unavailable("Triton: away")
        return set(self.models) | self.parts

    async def waited(self) -> dict[str, Waited]:
        if self.away:
            raise Unavailable("Triton: away")
        return dict.fromkeys(await self.loaded(), Waited(10, 0.5))

    def _note(self, call: str) -> None:
        if self.away:
            raise Unavailable("Triton: away")
        self.calls.append(call)


def at_once() -> float:
    return 0.0


class World:
    """A pod's versions with what is around them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.artifacts = folder, folder / "artifacts"
        self.triton = FakeTriton(folder / "models" / "repository")
        self.settings = ServingSettings()
        self.join("")
        self._generation = 0

    async def _repository(self, name: str) -> dict[str, str]:
        version = name.removeprefix("repo-")
        return {
            path.replace("/", "__"): base64.b64encode(one).decode()
            for path, one in render(version, self.settings).items()
        }

    def join(self, surge: str) -> None:
        """Be a pod that was started for this surge."""
        loader = Loader(self.triton, self._repository, self.folder / "models")
        self.versions = Versions(self.triton, loader, surge, at_once)

    def plan(self, live: str | None, digests: dict[str, str], drain: tuple[str, ...] = ()) -> Plan:
        self._generation += 1
        entries = [
            plan.PlannedVersion(
                name=name, digest=digest, repo=f"repo-{name}", artifacts=f"file://{self.artifacts}"
            )
            for name, digest in digests.items()
        ]
        seen = plan.SeenFilter(enabled=True, ttl_seconds=60, capacity=10, error_rate=0.1)
        serving = plan.Serving(top_k=10, candidates=300, seen_filter=seen)
        return Plan(
            generation=self._generation, live=live, versions=tuple(entries), drain=drain, serving=serving
        )

    def states(self) -> dict[str, str]:
        return {name: one["state"] for name, one in self.versions.report().items()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("CHECK_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(life, name, 0.01)
    monkeypatch.setattr(proof, "REQUESTS", 2)
    made = World(tmp_path)
    yield made
    await made.versions.close()
    assert not made.versions.broken


@pytest.fixture
def one(world: World) -> str:
    return SamplePackage(RETAIL, 1).write(world.artifacts, "one")


@pytest.fixture
def two(world: World) -> str:
    return SamplePackage(RETAIL, 2).write(world.artifacts, "two")


def _is(world: World, states: dict[str, str]) -> bool:
    return world.states() == states


async def _live(world: World, digest: str) -> None:
    world.versions.take(world.plan("a", {"a": digest}))
    await world.until(lambda: world.versions.route is not None)


async def test_proven_before_it_answers(world: World, one: str) -> None:
    assert not world.versions.ready()
    await _live(world, one)
    assert world.states() == {"a": "Proven"}
    assert world.versions.ready()


async def test_the_old_one_answers_until_the_new_one_is_proven(world: World, one: str, two: str) -> None:
    await _live(world, one)
    world.triton.refuse = "no"
    world.versions.take(world.plan("b", {"b": two}, drain=("a",)))
    await world.until(lambda: world.states().get("b") == "Failed")
    assert world.versions.route is not None
    assert world.versions.route.planned.name == "a"
    assert "recommender--a" in world.triton.models


async def test_a_request_holds_its_version_until_it_is_answered(world: World, one: str, two: str) -> None:
    await _live(world, one)
    old = world.versions.route
    assert old is not None
    answer, go = asyncio.Event(), asyncio.Event()
    infer = world.triton.infer

    async def slowly(model: str, content: bytes) -> bytes:
        if content == b"{}":
            answer.set()
            await go.wait()
        return await infer(model, content)

    world.triton.infer = slowly  # type: ignore[method-assign]
    request = asyncio.create_task(world.versions.infer(old, b"{}"))
    await answer.wait()
    world.versions.take(world.plan("b", {"b": two}, drain=("a",)))
    await world.until(lambda: world.states().get("a") == "Draining")
    await asyncio.sleep(0.05)
    assert "unload recommender--a" not in world.triton.calls
    go.set()
    assert b"items" in await request
    await world.until(lambda: world.states() == {"a": "Unloaded", "b": "Proven"})
    world.versions.take(world.plan("b", {"b": two}))
    assert world.states() == {"b": "Proven"}
    assert set(world.triton.models) == {"recommender--b"}


async def test_wanted_again_while_it_drains(world: World, one: str, two: str) -> None:
    await _live(world, one)
    world.versions.take(world.plan("b", {"b": two}, drain=("a",)))
    await world.until(lambda: world.states().get("a") == "Unloaded")
    world.versions.take(world.plan("a", {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Proven"})
    assert world.versions.route is not None
    assert world.versions.route.planned.name == "a"


async def test_no_request_can_cause_a_reload(world: World, one: str) -> None:
    await _live(world, one)
    route = world.versions.route
    assert route is not None
    for _ in range(20):
        with pytest.raises(Unavailable, match="stub process"):
            await world.versions.infer(route, POISON)
        await asyncio.sleep(0.005)
    assert world.triton.calls.count("load recommender--a") == 1
    assert world.states() == {"a": "Proven"}


async def test_a_dead_model_is_unloaded_and_loaded(world: World, one: str) -> None:
    await _live(world, one)
    world.triton.dead.add("recommender--a")
    await world.until(lambda: world.triton.calls.count("load recommender--a") == 2)
    await world.until(lambda: world.states() == {"a": "Proven"})
    assert world.triton.calls[-2:] == ["unload recommender--a", "load recommender--a"]


async def test_a_slow_moment_is_no_death(world: World, one: str) -> None:
    await _live(world, one)
    world.triton.slow = True
    await asyncio.sleep(0.02)
    world.triton.slow = False
    await asyncio.sleep(0.05)
    assert world.triton.calls.count("load recommender--a") == 1


async def test_a_triton_that_was_only_away_is_not_loaded_again(world: World, one: str) -> None:
    await _live(world, one)
    world.triton.away = True
    await world.until(lambda: world.states() == {"a": "Loading"})
    world.triton.away = False
    await world.until(lambda: world.states() == {"a": "Proven"})
    assert world.triton.calls.count("load recommender--a") == 1


async def test_a_new_triton_gets_everything_loaded(world: World, one: str, two: str) -> None:
    await _live(world, one)
    world.versions.take(world.plan("a", {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Proven"})
    world.triton.models.clear()
    await world.until(lambda: len(world.triton.models) == 2)
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Proven"})


async def test_a_model_that_never_answers_is_given_up(world: World, one: str) -> None:
    load = world.triton.load

    async def stillborn(model: str) -> None:
        await load(model)
        world.triton.dead.add(model)

    world.triton.load = stillborn  # type: ignore[method-assign]
    world.versions.take(world.plan("a", {"a": one}))
    await world.until(lambda: world.states() == {"a": "Failed"})
    assert "does not answer its probes" in world.versions.report()["a"]["message"]


async def test_another_package_under_the_same_name(world: World, one: str, two: str) -> None:
    await _live(world, one)
    world.versions.take(world.plan("a", {"a": two}))
    await world.until(lambda: world.versions.report()["a"]["digest"] == two)
    await world.until(lambda: world.states() == {"a": "Proven"})
    expected = SamplePackage(RETAIL, 2).expected(None, {"timestamp": NOW, "device_type": 1}, 300)[0][0]
    route = world.versions.route
    assert route is not None
    content = b'{"context": {"device_type": 1}, "k": 1}'
    assert str(expected).encode() in await world.versions.infer(route, content)


async def test_packages_beyond_the_spare_ones_are_deleted(world: World, tmp_path: Path) -> None:
    digests = [SamplePackage(RETAIL, seed).write(world.artifacts, f"s{seed}") for seed in range(5)]
    for number, digest in enumerate(digests):
        world.versions.take(world.plan(f"v{number}", {f"v{number}": digest}))
        expected = {f"v{number}": "Proven"}
        await world.until(functools.partial(_is, world, expected))
    kept = {path.name for path in (tmp_path / "models" / "packages").iterdir()}
    assert kept == {digest[7:] for digest in digests[-3:]}


def _parts(version: str) -> set[str]:
    return {part_name(stage, version) for stage in STAGES}


async def test_an_ensemble_goes_before_its_parts_and_takes_them_along(
    world: World, one: str, two: str
) -> None:
    world.settings = ServingSettings(graph="ensemble")
    await _live(world, one)
    assert world.triton.calls == ["load recommender--a"]
    assert world.triton.parts == _parts("a")
    world.versions.take(world.plan("b", {"b": two}, drain=("a",)))
    await world.until(lambda: world.states() == {"a": "Unloaded", "b": "Proven"})
    unloads = [call for call in world.triton.calls if call.startswith("unload")]
    assert unloads[0] == "unload recommender--a"
    assert set(unloads[1:]) == {f"unload {part}" for part in _parts("a")}
    assert set(world.triton.models) | world.triton.parts == {"recommender--b"} | _parts("b")


async def test_a_dead_ensemble_is_loaded_with_new_parts(world: World, one: str) -> None:
    world.settings = ServingSettings(graph="ensemble")
    await _live(world, one)
    world.triton.dead.add("recommender--a")
    await world.until(lambda: world.triton.calls.count("load recommender--a") == 2)
    await world.until(lambda: world.states() == {"a": "Proven"})
    between = world.triton.calls[1:-1]
    assert between[0] == "unload recommender--a"
    assert set(between[1:]) == {f"unload {part}" for part in _parts("a")}


async def test_what_an_earlier_gateway_left_goes_with_its_parts(world: World, one: str) -> None:
    world.triton.parts = _parts("old") | _parts("a--b")
    await _live(world, one)
    await world.until(lambda: not world.triton.parts)
    assert set(world.triton.models) == {"recommender--a"}


async def test_another_graph_leaves_no_part_of_the_one_before(world: World, one: str) -> None:
    world.settings = ServingSettings(graph="ensemble")
    await _live(world, one)
    world.settings = ServingSettings()
    again = world.plan("a", {"a": one})
    planned = again.versions[0].model_copy(update={"repo": "repo-a", "digest": one})
    (world.artifacts.parent / "models/repository/recommender--a/.repo").write_text("another ConfigMap")
    world.triton.dead.add("recommender--a")
    world.versions.take(again.model_copy(update={"versions": (planned,)}))
    await world.until(lambda: world.triton.calls.count("load recommender--a") == 2)
    await world.until(lambda: world.states() == {"a": "Proven"})
    assert world.triton.parts == set()
    folders = (world.artifacts.parent / "models/repository").iterdir()
    assert [folder.name for folder in folders] == ["recommender--a"]


def _trying(world: World, weight: int, digests: dict[str, str], epoch: str = "e") -> Plan:
    routes = (plan.Route(version="b", weight=weight),) if weight else ()
    return world.plan("a", digests).model_copy(update={"routes": routes, "epoch": epoch})


async def test_people_stay_with_a_version_while_its_weight_rises(world: World, one: str, two: str) -> None:
    await _live(world, one)
    both = {"a": one, "b": two}
    world.versions.take(_trying(world, 50, both))
    assert {_chosen(world, user) for user in range(200)} == {"a"}  # b is not proven here yet
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Proven"})
    before: set[int] = set()
    for weight in (1, 5, 20, 50, 99, 100):
        world.versions.take(_trying(world, weight, both))
        mine = {user for user in range(5000) if _chosen(world, user) == "b"}
        assert before <= mine
        assert abs(len(mine) / 5000 - weight / 100) < 0.03
        before = mine
    world.versions.take(_trying(world, 0, both))
    assert {_chosen(world, user) for user in range(200)} == {"a"}


def _chosen(world: World, user: int) -> str:
    version = world.versions.choose(user)
    assert version is not None
    return version.planned.name


async def test_counts_begin_anew_with_each_epoch(world: World, one: str) -> None:
    await _live(world, one)
    version = world.versions.route
    assert version is not None
    version.statistics.answered(3, 2)
    version.statistics.failed(1)
    version.statistics.took(0.004)
    world.versions.clicked(None, 17)
    world.versions.clicked("a", None)
    world.versions.clicked("gone", 17)
    said = world.versions.report()["a"]["statistics"]
    assert (said["requests"], said["errors"], said["replies"], said["clicks"]) == (4, 1, 2, 2)
    ((bound, count),) = said["latency"].items()
    assert count == 1
    assert 4 <= float(bound) < 4 * 1.2
    world.versions.take(_trying(world, 0, {"a": one}, epoch="next"))
    said = world.versions.report()["a"]["statistics"]
    assert (said["epoch"], said["requests"], said["latency"]) == ("next", 0, {})


def _memory(world: World, tmp_path: Path, used: int, holds: str = "a") -> None:
    held = {"limit": 1000 * 2**20, "used": used * 2**20, "versions": {holds: 300 * 2**20}}
    (tmp_path / "models" / "memory.json").write_text(json.dumps(held))


async def test_what_does_not_fit_is_not_loaded_until_there_is_room(
    world: World, one: str, two: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "ROOM_SECONDS", 0.01)
    await _live(world, one)
    _memory(world, tmp_path, 800)
    world.versions.take(world.plan("a", {"a": one, "b": two}))
    await world.until(lambda: world.states().get("b") == "NoRoom")
    assert "150 Mi of 1000 Mi are free" in world.versions.report()["b"]["message"]
    assert "load recommender--b" not in world.triton.calls
    assert world.states()["a"] == "Proven"
    _memory(world, tmp_path, 500)
    await world.until(lambda: world.states().get("b") == "Proven")


async def test_the_live_version_is_loaded_whatever_it_takes(
    world: World, one: str, two: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "GOING_SECONDS", 0.3)
    await _live(world, one)
    _memory(world, tmp_path, 990)
    world.versions.take(world.plan("b", {"a": one, "b": two}))
    await world.until(lambda: world.states().get("b") == "NoRoom")
    assert _chosen(world, 17) == "a", "where it answers by now, this pod may be on its way out"
    await world.until(lambda: world.states().get("b") == "Proven")


def _recreating(world: World, live: str, digests: dict[str, str], kept: tuple[str, ...] = ()) -> Plan:
    return world.plan(live, digests).model_copy(update={"memory_fallback": "Recreate", "kept": kept})


async def test_recreate_unloads_the_old_one_first_and_back(
    world: World, one: str, two: str, tmp_path: Path
) -> None:
    await _live(world, one)
    _memory(world, tmp_path, 800)
    world.versions.take(_recreating(world, "a", {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "NoRoom", "b": "Proven"})
    unload, load = (
        world.triton.calls.index(call) for call in ("unload recommender--a", "load recommender--b")
    )
    assert unload < load
    await world.until(lambda: world.versions.route is not None)
    assert _chosen(world, 17) == "b"  # the operator has not moved live yet, and this pod has nothing else
    _memory(world, tmp_path, 800, holds="b")
    world.versions.take(_recreating(world, "b", {"b": two, "a": one}, kept=("a",)))
    await asyncio.sleep(0.05)
    assert world.states() == {"a": "NoRoom", "b": "Proven"}
    world.versions.take(_recreating(world, "b", {"b": two, "a": one}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "NoRoom"})


async def test_recreate_brings_the_old_one_back_when_the_new_one_fails(
    world: World, one: str, two: str, tmp_path: Path
) -> None:
    await _live(world, one)
    _memory(world, tmp_path, 800)
    load = world.triton.load

    async def refuse(model: str) -> None:
        if model.endswith("--b"):
            raise Refused("no")
        await load(model)

    world.triton.load = refuse  # type: ignore[method-assign]
    world.versions.take(_recreating(world, "a", {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Failed"})
    assert "unload recommender--a" in world.triton.calls
    assert _chosen(world, 17) == "a"


async def test_recreate_is_called_off(world: World, one: str, two: str, tmp_path: Path) -> None:
    await _live(world, one)
    _memory(world, tmp_path, 800)
    world.versions.take(_recreating(world, "a", {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "NoRoom", "b": "Proven"})
    world.versions.take(_recreating(world, "a", {"a": one}))
    await world.until(lambda: world.states() == {"a": "Proven"})
    assert _chosen(world, 17) == "a"


def _surging(world: World, digests: dict[str, str]) -> Plan:
    return world.plan("a", digests).model_copy(update={"memory_fallback": "Surge", "surge": "b/7"})


def _surged(world: World, digests: dict[str, str]) -> Plan:
    return _surging(world, digests).model_copy(update={"live": "b", "surge": ""})


async def test_a_pod_of_the_surge_holds_only_what_is_to_come(world: World, one: str, two: str) -> None:
    world.join("b/7")
    world.versions.take(_surging(world, {"a": one, "b": two}))
    await world.until(world.versions.ready)
    assert _chosen(world, 17) == "b"
    assert "load recommender--a" not in world.triton.calls
    world.versions.take(_surged(world, {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "Proven"})
    assert _chosen(world, 17) == "b"
    world.versions.take(_surged(world, {"b": two}))
    await world.until(lambda: world.states() == {"b": "Proven"})
    assert _chosen(world, 17) == "b"


async def test_a_pod_of_the_surge_answers_as_before_when_it_is_called_off(
    world: World, one: str, two: str
) -> None:
    world.join("b/7")
    world.versions.take(_surging(world, {"a": one, "b": two}))
    await world.until(world.versions.ready)
    world.versions.take(world.plan("a", {"a": one}))
    await world.until(lambda: world.states() == {"a": "Proven"})
    assert _chosen(world, 17) == "a"


async def test_a_pod_of_an_earlier_time_leaves_the_surge_to_new_ones(
    world: World, one: str, two: str, tmp_path: Path
) -> None:
    await _live(world, one)
    _memory(world, tmp_path, 800)
    world.versions.take(_surging(world, {"a": one, "b": two}))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "NoRoom"})
    assert _chosen(world, 17) == "a"
    assert "unload recommender--a" not in world.triton.calls


@pytest.mark.parametrize("fallback", ["Refuse", "Surge"])
@pytest.mark.parametrize("kept", [(), ("a",)])
@pytest.mark.parametrize("surge", ["", "a/3"])
async def test_a_pod_of_before_answers_as_before_until_it_is_gone(
    world: World, one: str, two: str, tmp_path: Path, kept: tuple[str, ...], surge: str, fallback: str
) -> None:
    """Callers come to a pod that is being deleted, for some seconds after all pods that stay are new."""
    world.join(surge)
    await _live(world, one)
    _memory(world, tmp_path, 800)
    both, same = {"a": one, "b": two}, {"memory_fallback": fallback}
    world.versions.take(_surging(world, both).model_copy(update=same))
    await world.until(lambda: world.states() == {"a": "Proven", "b": "NoRoom"})
    world.versions.take(_surged(world, {name: both[name] for name in (*kept, "b")}).model_copy(update=same))
    for _ in range(5):
        await asyncio.sleep(0.05)
        assert _chosen(world, 17) == "a"
    assert world.states()["b"] == "NoRoom"
    assert "unload recommender--a" not in world.triton.calls


async def test_what_was_rolled_back_goes_before_the_one_before_it_is_loaded_again(
    world: World, one: str, two: str, tmp_path: Path
) -> None:
    world.join("b/7")
    both = {"a": one, "b": two}
    world.versions.take(_surging(world, both))
    await world.until(world.versions.ready)
    _memory(world, tmp_path, 800, holds="b")
    world.versions.take(_surged(world, both))
    await world.until(lambda: world.states() == {"a": "NoRoom", "b": "Proven"})
    world.triton.calls.clear()
    world.versions.take(world.plan("a", {"a": one}).model_copy(update={"memory_fallback": "Surge"}))
    await world.until(lambda: world.states() == {"a": "Proven"})
    unload, load = (
        world.triton.calls.index(call) for call in ("unload recommender--b", "load recommender--a")
    )
    assert unload < load
