"""Starts containerd, the first time without the containers of the node's former life.

Images are kept between two lives of a node, containers are not: their processes died with the node, and the
kubelet would spend its first minute on cleaning up after them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

_SECONDS = 30.0
_NAMESPACE = "k8s.io"


def forget_containers(root: Path, config: str, endpoint: Path) -> None:
    """Remove all containers, with a containerd that has no CRI plugin yet."""
    if not (root / "io.containerd.metadata.v1.bolt" / "meta.db").exists():
        return
    for kind in ("containers", "sandboxes"):
        shutil.rmtree(root / "io.containerd.grpc.v1.cri" / kind, ignore_errors=True)
    daemon = subprocess.Popen(["containerd", "-c", config])
    try:
        deadline = time.monotonic() + _SECONDS
        ctr = ["ctr", "-a", str(endpoint), "-n", _NAMESPACE]
        while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("containerd does not answer")
            time.sleep(0.05)
        listed = subprocess.run([*ctr, "containers", "ls", "-q"], capture_output=True, text=True, check=True)
        containers = listed.stdout.split()
        if containers:
            subprocess.run([*ctr, "containers", "rm", *containers], check=False)
    finally:
        daemon.terminate()
        daemon.wait()
        endpoint.unlink(missing_ok=True)


def main() -> None:
    """Arguments: data directory, configuration without CRI, configuration, socket."""
    root, plain, config, endpoint = sys.argv[1:]
    # /run is new with every life of the node, so the marker means: not the first start in this one.
    marker = Path("/run/recstack-containers-forgotten")
    if not marker.exists():
        forget_containers(Path(root), plain, Path(endpoint))
        marker.touch()
    os.execvp("containerd", ["containerd", "-c", config])


if __name__ == "__main__":
    main()
