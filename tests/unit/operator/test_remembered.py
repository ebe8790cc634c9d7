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
    assert await watched.cluster.get(kinds.CONFIG_MAP, "shop", "x") is None
    assert watched.asked == 2


async def test_a_write_is_read_though_the_watch_is_late() -> None:
    watched = Watched(kinds.SERVICE)
    old = watched.put(spec={"ports": [1]})
    new = await watched.cluster.apply({**old, "spec": {"ports": [2]}})
    watched.cluster.told(kinds.SERVICE, old, False)
    assert await watched.read() == new
    assert watched.asked == 0


@pytest.mark.parametrize(
    "kind", [kinds.CONFIG_MAP, kinds.JOB, kinds.SECRET, kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION]
)
async def test_what_decides_is_always_asked_for(kind: Kind) -> None:
    watched = Watched(kind)
    watched.cluster.told(kind, watched.put(), False)
    watched.cluster.complete = True
    await watched.read()
    await watched.read()
    assert watched.asked == 2
