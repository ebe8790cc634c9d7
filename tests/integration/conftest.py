"""One real API server for all, without controllers, with recstack's CRDs; and a namespace a test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube import ROOT, Kube
from recstack_lab import apiserver


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    with apiserver.start(tmp_path_factory.mktemp("apiserver")) as kubeconfig:
        made = Kube(Path(kubeconfig))
        made.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield made
        made.close()


@pytest.fixture
def space(kube: Kube) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    kube.namespace(name)
    return name
