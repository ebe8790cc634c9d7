"""What is answered from the watches, and what never is."""

from typing import Any

import pytest
from fake_cluster import FakeCluster
from recstack_controllers import kinds
from recstack_controllers.kit.cluster import Kind, Manifest
from recstack_operator.remembered import Remembered


class Watched:
    """A cluster of one object, and how often it was asked for it."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.asked = kind, 0
        self.real = FakeCluster()
        self.cluster = Remembered(self)  # type: ignore[arg-type]

    def put(self, **content: Any) -> Manifest:
        made = self.real.put(
            {
                "apiVersion": self.kind.api_version,
                "kind": self.kind.kind,
                "metadata": {"namespace": "shop", "name": "x"},
                **content,
            }
        )
        return made

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        self.asked += 1
        return await self.real.get(kind, namespace, name)

    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        return await self.real.apply(manifest, manager)

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Any) -> None:
        await self.real.delete(kind, namespace, name, propagation)

    async def read(self) -> Manifest | None:
        return await self.cluster.get(self.kind, "shop", "x")


async def test_what_a_watch_told_is_not_asked_for() -> None:
    watched = Watched(kinds.SERVICE)
    made = watched.put(spec={"ports": [1]})
    assert await watched.read() == made
    assert watched.asked == 1
    watched.cluster.told(kinds.SERVICE, made, False)
    assert await watched.read() == made
    assert watched.asked == 1


async def test_a_deleted_one_is_there_until_its_watch_says_so() -> None:
    watched = Watched(kinds.SERVICE)
    made = watched.put()
    watched.cluster.told(kinds.SERVICE, made, False)
    await watched.cluster.delete(kinds.SERVICE, "shop", "x", "Background")
    assert await watched.read() == made
    watched.cluster.told(kinds.SERVICE, made, True)
    assert await watched.read() is None


async def test_what_it_was_not_told_of_is_not_there_once_it_was_told_all() -> None:
    watched = Watched(kinds.SERVICE)
    assert await watched.read() is None
    watched.cluster.complete = True
    assert await watched.read() is None
    assert watched.asked == 1
    assert await watched.cluster.get(kinds.JOB, "shop", "x") is None
    assert watched.asked == 2


async def test_a_write_is_read_though_the_watch_is_late() -> None:
    watched = Watched(kinds.SERVICE)
    old = watched.put(spec={"ports": [1]})
    new = await watched.cluster.apply({**old, "spec": {"ports": [2]}})
    watched.cluster.told(kinds.SERVICE, old, False)
    assert await watched.read() == new
    assert watched.asked == 0


async def test_one_that_was_made_anew_outlives_the_old_ones_deletion() -> None:
    watched = Watched(kinds.MODEL_VERSION)
    old = watched.put()
    watched.real.remove(kinds.MODEL_VERSION.kind, "x")
    new = await watched.cluster.apply({**old, "metadata": {"namespace": "shop", "name": "x"}})
    watched.cluster.told(kinds.MODEL_VERSION, old, True)
    assert await watched.read() == new
    assert watched.asked == 0


async def test_what_is_told_late_of_a_deleted_one_does_not_bring_it_back() -> None:
    watched = Watched(kinds.MODEL_VERSION)
    old = watched.put()
    watched.cluster.complete = True
    watched.cluster.told(kinds.MODEL_VERSION, old, True)
    watched.cluster.told(kinds.MODEL_VERSION, old, False)
    assert await watched.read() is None


async def test_lists_are_of_what_was_told() -> None:
    watched = Watched(kinds.CONFIG_MAP)
    made = watched.put()
    labelled = {**made, "metadata": made["metadata"] | {"name": "y", "labels": {"a": "1"}}}
    for one in (made, labelled):
        watched.cluster.told(kinds.CONFIG_MAP, one, False)
    watched.cluster.complete = True
    cases = {("a", None): [labelled], ("a", "1"): [labelled], ("a", "2"): [], ("b", None): []}
    for (key, value), wanted in cases.items():
        assert await watched.cluster.list(kinds.CONFIG_MAP, "shop", {key: value}) == wanted
    assert await watched.cluster.list(kinds.CONFIG_MAP, None, {}) == [made, labelled]
    assert await watched.cluster.list(kinds.CONFIG_MAP, "other", {}) == []


@pytest.mark.parametrize("kind", [kinds.JOB, kinds.SECRET])
async def test_what_decides_is_always_asked_for(kind: Kind) -> None:
    watched = Watched(kind)
    watched.cluster.told(kind, watched.put(), False)
    watched.cluster.complete = True
    await watched.read()
    await watched.read()
    assert watched.asked == 2
