"""What the lab's cluster starts with is complete and refers to what exists."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from recstack_lab import loading, manifests, render, s3
from recstack_lab.config import STORAGE_PROVISIONER, Lab
from recstack_lab.pki import Pair


def things(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)}


def test_the_cluster_has_dns_at_the_kubelets_address_and_one_default_class() -> None:
    lab = Lab("x", 3)
    found = things(manifests.render(lab))
    assert found["Service", "kube-dns"]["spec"]["clusterIP"] == lab.dns_address
    pod = found["Deployment", "coredns"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == loading.COREDNS_IMAGE
    assert pod["serviceAccountName"] in {name for kind, name in found if kind == "ServiceAccount"}
    storage = found["StorageClass", "standard"]
    assert storage["provisioner"] == STORAGE_PROVISIONER
    assert storage["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_the_s3_server_is_filled_in_whole() -> None:
    values = {
        "NAMESPACE": "n",
        "PORT": "7070",
        "REGION": "r",
        "ACCESS_KEY": "a",
        "SECRET_KEY": "0123",
        "IMAGE": loading.S3_IMAGE,
    }
    found = things(manifests.s3(values))
    assert found["Secret", "s3"]["stringData"] == {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "0123"}
    assert found["Deployment", "s3"]["metadata"]["namespace"] == "n"
    with pytest.raises(KeyError):
        manifests.s3({})


def test_buckets_are_read_from_the_table() -> None:
    table = "Bucket   Owner\n-------  ----\nhallo    abc\nx        abc\n\n"
    assert s3.parse_buckets(table) == ["hallo", "x"]
    assert s3.parse_buckets("Bucket   Owner\n-------  ----\n\n") == []


def test_the_kubelet_speaks_to_the_labs_own_containerd_and_dns(tmp_path: Path) -> None:
    lab = Lab("x", 3)
    pair = Pair(tmp_path / "crt", tmp_path / "key")
    found = render.kubelet(lab, render.KubeletFiles(tmp_path / "ca", pair, tmp_path / "resolv.conf"))
    assert found["clusterDNS"] == [lab.dns_address]
    assert found["authentication"]["anonymous"] == {"enabled": False}
    assert found["containerRuntimeEndpoint"].removeprefix("unix://") in render.containerd(lab, cri=True)
    assert f'sandbox_image = "{render.PAUSE_IMAGE}"' in render.containerd(lab, cri=True)
    assert '"io.containerd.grpc.v1.cri"]' in render.containerd(lab, cri=False).splitlines()[4]
