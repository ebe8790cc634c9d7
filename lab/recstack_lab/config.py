"""Where a lab keeps its things and which addresses and names it uses."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

CLUSTER_DOMAIN = "cluster.local"
STORAGE_PROVISIONER = "recstack.dev/local-path"
APISERVER_PORT = 6443
SOURCE_ROOT = Path(__file__).resolve().parents[1]
REPOSITORY_ROOT = SOURCE_ROOT.parent

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
_MAX_INDEX = 15


class LabError(Exception):
    """Something that the user of the lab has to know or to change."""


def cache_root() -> Path:
    """The directory of everything that the lab builds or keeps."""
    explicit = os.environ.get("RECSTACK_CACHE")
    if explicit:
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recstack"


@dataclass(frozen=True)
class Lab:
    """One lab: all of its names and addresses follow from its name and its index."""

    name: str = "default"
    index: int = 0
    gpus: int = 2

    def __post_init__(self) -> None:
        """Refuse what would make names or addresses collide or break."""
        if not _NAME.fullmatch(self.name):
            raise LabError(f"{self.name!r} is no lab name (lower case letters, digits, '-', at most 20)")
        if not 0 <= self.index <= _MAX_INDEX:
            raise LabError(f"the index must be 0 to {_MAX_INDEX}")

    @property
    def directory(self) -> Path:
        """Everything of this lab that outlives a command."""
        return cache_root() / "lab" / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def node_name(self) -> str:
        """Name of the node and host name inside it."""
        return f"recstack-{self.name}"

    @property
    def cgroup(self) -> str:
        """Name of the lab's control group in each hierarchy."""
        return f"recstack-lab-{self.name}"

    @property
    def link(self) -> str:
        """The caller's end of the veth pair."""
        return f"rslab{self.index}"

    @property
    def host_address(self) -> str:
        """Address of the caller's end."""
        return f"10.99.{self.index}.1"

    @property
    def node_address(self) -> str:
        """Address of the node."""
        return f"10.99.{self.index}.2"

    @property
    def pod_cidr(self) -> str:
        """Addresses of the pods."""
        return "10.88.0.0/16" if self.index == 0 else f"10.{120 + self.index}.0.0/16"

    @property
    def service_cidr(self) -> str:
        """Addresses of the services."""
        return "10.96.0.0/16" if self.index == 0 else f"10.{140 + self.index}.0.0/16"

    @property
    def service_prefix(self) -> str:
        """The fixed half of the service addresses."""
        return self.service_cidr.removesuffix(".0.0/16")

    @property
    def apiserver_service_address(self) -> str:
        """The first service address, which Kubernetes gives to the API server."""
        return f"{self.service_prefix}.0.1"

    @property
    def dns_address(self) -> str:
        """The service address of CoreDNS."""
        return f"{self.service_prefix}.0.10"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.node_address}:{APISERVER_PORT}"
