"""What counts as a dead watch, and what does not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fake_cluster import FakeCluster
from recstack_controllers import kinds
from recstack_controllers.kit.cluster import ClusterError, Manifest
from recstack_operator.audit import GRACE, Audit

KIND = kinds.RECOMMENDER_STACK


@dataclass
class Watched:
    """A cluster with one stack, and its audit; ``missed``: names that the audit found."""

    now: float = 0.0
    cluster: FakeCluster = field(default_factory=FakeCluster)
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.audit = Audit(self.cluster, [KIND], ["shop"], lambda: self.now)
        self.change()

    def change(self) -> Manifest:
        """A person writes the stack; gives it as it is now."""
        return self.cluster.put(
            {
                "apiVersion": KIND.api_version,
                "kind": KIND.kind,
                "metadata": {"namespace": "shop", "name": "retail"},
                "spec": {},
            }
        )

    async def look(self) -> bool:
        def miss(kind: object, body: Any, deleted: bool) -> None:
            self.missed.append(body["metadata"]["name"])

        return await self.audit.look(miss)

    def during_the_list(self, happen: Callable[[Manifest], None]) -> None:
        """``happen`` comes after the server has made its answer, before it is read."""
        true_list = self.cluster.list

        async def slow(*arguments: Any) -> list[Manifest]:
            found = await true_list(*arguments)
            happen(found[0])
            return found

        self.cluster.list = slow  # type: ignore[method-assign,assignment]


async def test_a_watch_that_told_is_well() -> None:
    watched = Watched()
    watched.audit.told(KIND, watched.change(), False)
    await watched.look()
    watched.now = GRACE + 1
    assert watched.missed == []
    assert watched.audit.stale() is None


async def test_a_late_watch_has_its_time() -> None:
    watched = Watched()
    await watched.look()
    watched.now = GRACE - 1
    assert watched.audit.stale() is None
    watched.now = GRACE + 1
    assert watched.audit.stale() is not None


async def test_an_object_that_changes_all_the_time_hides_no_dead_watch() -> None:
    watched = Watched()
    await watched.look()
    watched.now = GRACE - 1
    watched.change()
    await watched.look()
    watched.now = GRACE + 1
    assert "RecommenderStack" in (watched.audit.stale() or "")


async def test_a_watch_that_is_ahead_of_the_list_is_well() -> None:
    watched = Watched()
    watched.during_the_list(lambda found: watched.audit.told(KIND, watched.change(), False))
    await watched.look()
    watched.now = GRACE + 1
    assert watched.missed == []
    assert watched.audit.stale() is None


async def test_a_watch_that_told_of_a_deletion_during_the_list_is_well() -> None:
    watched = Watched()
    watched.during_the_list(lambda found: watched.audit.told(KIND, found, True))
    await watched.look()
    watched.now = GRACE + 1
    assert watched.missed == []
    assert watched.audit.stale() is None


async def test_what_was_missed_and_then_deleted_is_forgotten() -> None:
    watched = Watched()
    await watched.look()
    watched.cluster.remove(KIND.kind, "retail")
    await watched.look()
    watched.now = GRACE + 1
    assert watched.audit.stale() is None


async def test_an_api_server_that_does_not_answer_says_nothing_of_watches() -> None:
    watched = Watched()
    watched.cluster.refuse = lambda verb, kind: ClusterError("away", 0, True)
    assert not await watched.look()
    watched.now = GRACE + 1
    assert watched.audit.stale() is None


@pytest.mark.parametrize("namespaces", [[], ["shop", "films"]])
async def test_only_the_namespaces_that_are_watched_are_listed(namespaces: list[str]) -> None:
    cluster = FakeCluster()
    for space in ("shop", "films", "other"):
        metadata = {"namespace": space, "name": space}
        cluster.put({"apiVersion": KIND.api_version, "kind": KIND.kind, "metadata": metadata, "spec": {}})
    missed: set[str] = set()
    audit = Audit(cluster, [KIND], namespaces, lambda: 0.0)
    assert await audit.look(lambda kind, body, deleted: missed.add(body["metadata"]["name"]))
    assert missed == set(namespaces or ["shop", "films", "other"])
