"""Who may talk to a cluster: the certificates of each component and the kubeconfig files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from recstack_lab.config import CLUSTER_DOMAIN
from recstack_lab.pki import Authority, Pair, write_private, write_signing_key

ADMIN_GROUP = "system:masters"


@dataclass(frozen=True)
class ServerCredentials:
    """What etcd and the API server need."""

    ca: Pair
    etcd_ca: Pair
    front_proxy_ca: Pair
    etcd: Pair
    etcd_client: Pair
    apiserver: Pair
    kubelet_client: Pair
    front_proxy_client: Pair
    service_accounts: Pair


@dataclass(frozen=True)
class Issued:
    """The server side's files, and the authority that signs the clients."""

    server: ServerCredentials
    authority: Authority


def issue(directory: Path, addresses: Sequence[str]) -> Issued:
    """Make the authorities and the server side's certificates."""
    # etcd trusts its own authority only: no certificate of a kubelet opens the database.
    authority = Authority(directory, "ca")
    etcd_authority = Authority(directory, "etcd-ca")
    front_proxy = Authority(directory, "front-proxy-ca")
    names = [
        "localhost",
        "127.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
        *addresses,
    ]
    return Issued(
        ServerCredentials(
            ca=authority.pair,
            etcd_ca=etcd_authority.pair,
            front_proxy_ca=front_proxy.pair,
            etcd=etcd_authority.issue("etcd", "etcd", serves=["localhost", "127.0.0.1"]),
            etcd_client=etcd_authority.issue("etcd-client", "kube-apiserver"),
            apiserver=authority.issue("apiserver", "kube-apiserver", serves=names),
            kubelet_client=authority.issue("apiserver-kubelet-client", "recstack:apiserver"),
            front_proxy_client=front_proxy.issue("front-proxy-client", "front-proxy-client"),
            service_accounts=write_signing_key(directory, "service-accounts"),
        ),
        authority,
    )


def write_kubeconfig(path: Path, server: str, ca: Path, client: Pair) -> Path:
    """A kubeconfig that carries its certificates, so that it can be copied elsewhere."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": data(ca)}}],
        "users": [
            {
                "name": "lab",
                "user": {
                    "client-certificate-data": data(client.certificate),
                    "client-key-data": data(client.key),
                },
            }
        ],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
    return path
