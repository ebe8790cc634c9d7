"""Kubernetes and its companions, built from Go modules and kept by content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recstack_lab.commands import run
from recstack_lab.config import SOURCE_ROOT, cache_root
from recstack_lab.console import step

KUBERNETES_VERSION = "v1.34.4"
_STRIP = "-s -w"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
_KUBERNETES_FLAGS = " ".join(
    [_STRIP]
    + [
        f"-X k8s.io/component-base/version.git{key}={value}"
        for key, value in (("Version", KUBERNETES_VERSION), ("Major", _MAJOR), ("Minor", _MINOR))
    ]
)


@dataclass(frozen=True)
class Module:
    """A Go module of lab/go and the programs that are built in it."""

    name: str
    programs: tuple[tuple[str, str], ...]
    ldflags: str = _STRIP

    @property
    def directory(self) -> Path:
        """Where its go.mod lies."""
        return SOURCE_ROOT / "go" / self.name

    def key(self) -> str:
        """A hash over everything that decides what comes out of the build."""
        digest = hashlib.sha256(repr((self.programs, self.ldflags)).encode())
        sources = [p for p in sorted(self.directory.rglob("*")) if p.suffix in {".go", ".mod", ".sum"}]
        for source in sources:
            digest.update(str(source.relative_to(self.directory)).encode() + b"\0" + source.read_bytes())
        return digest.hexdigest()


_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
MODULES = (
    Module(
        "kubernetes",
        (
            *((name, f"k8s.io/kubernetes/cmd/{name}") for name in _COMMANDS),
            ("etcd", "go.etcd.io/etcd/server/v3"),
        ),
        _KUBERNETES_FLAGS,
    ),
    Module("coredns", (("coredns", "."),)),
    Module("helm", (("helm", "helm.sh/helm/v3/cmd/helm"),)),
    Module("versitygw", (("versitygw", "github.com/versity/versitygw/cmd/versitygw"),)),
    Module(
        "lab",
        (
            ("pause", "./cmd/pause"),
            ("gpu-device-plugin", "./cmd/gpu-device-plugin"),
            ("local-provisioner", "./cmd/local-provisioner"),
        ),
    ),
)


def binary(name: str) -> Path:
    """The path of a program, built now if it is not there."""
    for module in MODULES:
        if name in dict(module.programs):
            return _built(module) / name
    raise KeyError(name)


def build_all() -> Path:
    """Build every program; the directory of links to all of them, meant for PATH."""
    links = cache_root() / "bin" / "current"
    links.mkdir(parents=True, exist_ok=True)
    for module in MODULES:
        built = _built(module)
        for name, _ in module.programs:
            link = links / name
            if link.is_symlink() and link.resolve() == built / name:
                continue
            fresh = links / f".{name}.{os.getpid()}"
            fresh.symlink_to(built / name)
            fresh.replace(link)
    return links


def _built(module: Module) -> Path:
    root = cache_root() / "bin"
    target = root / module.key()
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    # One build at a time: two Go builds of Kubernetes side by side exhaust a small machine.
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _build(module, target)
    return target


_GO_BUILD = ("go", "build", "-trimpath", "-buildvcs=false")


def _build(module: Module, target: Path) -> None:
    # No toolchain is downloaded behind the user's back: the installed one either is new enough or says so.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        for number, (name, package) in enumerate(module.programs, 1):
            with step(f"building {name} ({module.name}, {number} of {len(module.programs)})"):
                run(
                    [*_GO_BUILD, "-ldflags", module.ldflags, "-o", str(work / name), package],
                    cwd=module.directory,
                    env=environment,
                )
        work.chmod(0o755)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
