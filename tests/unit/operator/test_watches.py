"""Whom a change concerns; and a watch that died is found."""

from typing import Any

from fake_cluster import FakeCluster
from recstack_controllers import kinds
from recstack_operator.audit import GRACE, Audit
from recstack_operator.keys import WATCHED, Key, Router

STACK = Key(kinds.RECOMMENDER_STACK, "shop", "retail")
VERSION = Key(kinds.MODEL_VERSION, "shop", "retail-1")
OWN = {"metadata": {"namespace": "shop", "name": "retail-1"}, "spec": {"stack": "retail"}}


def child(**labels: str) -> dict[str, Any]:
    named = {f"recstack.dev/{key}": value for key, value in labels.items()}
    return {"metadata": {"namespace": "shop", "name": "x", "labels": named}}


def test_secrets_are_not_watched() -> None:
    assert kinds.SECRET not in WATCHED


def test_a_child_concerns_its_stack_and_its_version() -> None:
    router = Router()
    assert router.concerned(kinds.DEPLOYMENT, child(stack="retail"), False) == {STACK}
    job = child(stack="retail", version="retail-1", step="ingest")
    assert router.concerned(kinds.JOB, job, False) == {VERSION}


def test_a_stack_concerns_its_versions() -> None:
    router = Router()
    assert router.concerned(kinds.MODEL_VERSION, OWN, False) == {STACK, VERSION}
    stack = {"metadata": {"namespace": "shop", "name": "retail"}}
    assert router.concerned(kinds.RECOMMENDER_STACK, stack, False) == {STACK, VERSION}
    router.concerned(kinds.MODEL_VERSION, OWN, True)
    assert router.concerned(kinds.RECOMMENDER_STACK, stack, True) == {STACK}


def test_a_stacks_status_concerns_nobody() -> None:
    router = Router()
    metadata = {"namespace": "shop", "name": "retail", "uid": "1", "generation": 1}
    stack: dict[str, Any] = {"metadata": metadata, "status": {"phase": "Loading"}}
    assert router.concerned(kinds.RECOMMENDER_STACK, stack, False) == {STACK}
    assert router.concerned(kinds.RECOMMENDER_STACK, stack | {"status": {"phase": "Ready"}}, False) == set()
    for asked in (
        {"generation": 2},
        {"generation": 2, "annotations": {"recstack.dev/x": "1"}},
        {"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"},
    ):
        changed = {"metadata": metadata | asked}
        assert router.concerned(kinds.RECOMMENDER_STACK, changed, False) == {STACK}
        assert router.concerned(kinds.RECOMMENDER_STACK, changed, False) == set()
    assert router.concerned(kinds.RECOMMENDER_STACK, stack, True) == {STACK}


async def test_a_watch_that_tells_nothing_is_found() -> None:
    now = 0.0
    cluster = FakeCluster()
    audit = Audit(cluster, [kinds.RECOMMENDER_STACK], [], lambda: now)
    stack = cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "RecommenderStack",
            "metadata": {"namespace": "shop", "name": "retail"},
            "spec": {},
        }
    )
    missed: list[str] = []

    def miss(kind: object, body: Any, deleted: bool) -> None:
        missed.append(body["metadata"]["name"])

    assert await audit.look(miss)
    assert (missed, audit.stale()) == (["retail"], None)
    now = GRACE + 1
    assert "RecommenderStack" in (audit.stale() or "")
    audit.told(kinds.RECOMMENDER_STACK, stack, False)
    assert audit.stale() is None
    missed.clear()
    await audit.look(miss)
    assert missed == []
