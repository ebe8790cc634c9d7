"""One lab for all stories, with the chart installed as the demo installs it; gone at the end."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from recstack_demo import lab
from recstack_demo.cluster import Cluster, CommandFailed
from recstack_demo.main import install
from story import OPERATOR, Story

KEEP = os.environ.get("KEEP") == "1"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = lab.up(keep=KEEP)
    install(found, [])
    try:
        yield found
    finally:
        if not KEEP:
            lab.down()


@pytest.fixture
def story(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Story]:
    """A namespace of its own for each test, told as it happens."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    cluster.kube("create", "namespace", name)
    told = Story(cluster, name)
    try:
        told.tell(f"==== {request.node.name}")
        yield told
    finally:
        if not KEEP:
            try:
                cluster.kube("-n", name, "delete", "rstack,mver", "--all", "--timeout=120s")
                cluster.kube("delete", "namespace", name, "--timeout=120s")
            except CommandFailed as error:
                told.tell(f"cleaning up: {error}")


@pytest.fixture
def leader(cluster: Cluster) -> Any:
    """Gives the name of the operator pod that holds the Lease."""

    def find() -> str:
        leases = cluster.get("lease", "-n", OPERATOR)["items"]
        holders = [lease["spec"].get("holderIdentity", "") for lease in leases]
        pods = cluster.get("pods", "-n", OPERATOR)["items"]
        return next(
            (p["metadata"]["name"] for p in pods for h in holders if h.startswith(p["metadata"]["name"])), ""
        )

    return find
