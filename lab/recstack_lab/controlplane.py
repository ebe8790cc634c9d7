"""Command lines of the control plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recstack_lab.config import CLUSTER_DOMAIN
from recstack_lab.credentials import ServerCredentials


@dataclass(frozen=True)
class Endpoints:
    """Addresses at which etcd and the API server listen."""

    apiserver_address: str
    apiserver_port: int
    etcd_port: int = 2379
    etcd_peer_port: int = 2380

    @property
    def etcd(self) -> str:
        """URL of etcd."""
        return f"https://127.0.0.1:{self.etcd_port}"


def etcd_command(binary: Path, data: Path, at: Endpoints, credentials: ServerCredentials) -> list[str]:
    """etcd with one member and mutual TLS."""
    peer = f"https://127.0.0.1:{at.etcd_peer_port}"
    return [
        str(binary),
        "--name=lab",
        f"--data-dir={data}",
        f"--listen-client-urls={at.etcd}",
        f"--advertise-client-urls={at.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        f"--cert-file={credentials.etcd.certificate}",
        f"--key-file={credentials.etcd.key}",
        f"--trusted-ca-file={credentials.etcd_ca.certificate}",
        "--client-cert-auth",
        f"--peer-cert-file={credentials.etcd.certificate}",
        f"--peer-key-file={credentials.etcd.key}",
        f"--peer-trusted-ca-file={credentials.etcd_ca.certificate}",
        "--peer-client-cert-auth",
        # The database dies with the lab, so nothing is lost by not waiting for the disk.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_command(
    binary: Path, at: Endpoints, credentials: ServerCredentials, service_cidr: str, *, has_node: bool
) -> list[str]:
    """The API server with RBAC, the Node authorizer and aggregation."""
    issuer = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"
    words = [
        str(binary),
        f"--bind-address={'0.0.0.0' if has_node else '127.0.0.1'}",
        f"--secure-port={at.apiserver_port}",
        f"--etcd-servers={at.etcd}",
        f"--etcd-cafile={credentials.etcd_ca.certificate}",
        f"--etcd-certfile={credentials.etcd_client.certificate}",
        f"--etcd-keyfile={credentials.etcd_client.key}",
        f"--client-ca-file={credentials.ca.certificate}",
        f"--tls-cert-file={credentials.apiserver.certificate}",
        f"--tls-private-key-file={credentials.apiserver.key}",
        f"--service-account-issuer={issuer}",
        f"--service-account-key-file={credentials.service_accounts.certificate}",
        f"--service-account-signing-key-file={credentials.service_accounts.key}",
        f"--service-cluster-ip-range={service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--profiling=false",
        f"--requestheader-client-ca-file={credentials.front_proxy_ca.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={credentials.front_proxy_client.certificate}",
        f"--proxy-client-key-file={credentials.front_proxy_client.key}",
    ]
    if has_node:
        return [
            *words,
            f"--advertise-address={at.apiserver_address}",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-aggregator-routing=true",
            f"--kubelet-certificate-authority={credentials.ca.certificate}",
            f"--kubelet-client-certificate={credentials.kubelet_client.certificate}",
            f"--kubelet-client-key={credentials.kubelet_client.key}",
            "--kubelet-preferred-address-types=InternalIP",
        ]
    # Without controllers nothing makes the default service account, so pods could never be created.
    return [
        *words,
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
    ]
