"""One real API server for all, without controllers, with recstack's CRDs; and a namespace a test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube import ROOT, Kube, Refused
from operator_process import until
from recstack_controllers import kinds
from recstack_lab import apiserver


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    with apiserver.start(tmp_path_factory.mktemp("apiserver")) as kubeconfig:
        made = Kube(Path(kubeconfig))
        made.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        until("the API server serves both kinds", lambda: serves(made), 30)
        yield made
        made.close()


def serves(kube: Kube) -> bool:
    """An established kind is refused with 429 until its storage is there."""
    try:
        return all(
            kube.list(kind, "default") == [] for kind in (kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION)
        )
    except Refused:
        return False


@pytest.fixture
def space(kube: Kube) -> Iterator[str]:
    """A namespace; stacks and versions are deleted in the end, as operators of other tests see them."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kube.namespace(name)
    yield name
    for kind in (kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION):
        for thing in kube.list(kind, name):
            kube.patch(kind, name, thing["metadata"]["name"], {"metadata": {"finalizers": None}})
            kube.delete(kind, name, thing["metadata"]["name"])
