"""What the lab needs from the machine, in one place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from recstack_lab.commands import run
from recstack_lab.config import LabError
from recstack_lab.console import step

PLUGINS = Path("/usr/lib/cni")

# program or file -> Debian package
NODE: dict[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "tini": "tini",
    "ip": "iproute2",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    str(PLUGINS / "bridge"): "containernetworking-plugins",
}
IMAGES: dict[str, str] = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}


def missing(needed: dict[str, str]) -> list[str]:
    """Debian packages of the programs that are not there."""
    return sorted({package for program, package in needed.items() if not shutil.which(program)})


def ensure(*groups: dict[str, str]) -> None:
    """Install what is missing; from then on this process finds it."""
    # Not every shell's PATH has the directories of the system's own programs.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    packages = sorted({package for group in groups for package in missing(group)})
    if not packages:
        return
    require_root()
    with step(f"installing {', '.join(packages)}"):
        _install(packages)


def _install(packages: Sequence[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], env=environment)
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], env=environment)


def require_root() -> None:
    """Namespaces, mounts and network interfaces need root."""
    if os.geteuid():
        raise LabError("this command needs root")
