"""Entry of the ``triton`` container: becomes Triton, with nothing loaded.

It restarts nothing: when Triton dies the container ends, the kubelet starts it again, and the gateway, which
notices by inference, loads what the plan wants.
"""

import os
import subprocess
import sys
from pathlib import Path

from recstack_gateway.settings import Settings, from_environment

SHARED_MEMORY = Path("/dev/shm")


def command(settings: Settings) -> list[str]:
    """Command line of tritonserver: explicit control, loopback only, complete configurations."""
    return [
        str(settings.triton_home / "bin" / "tritonserver"),
        f"--model-repository={settings.repository}",
        f"--backend-directory={settings.triton_home / 'backends'}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={settings.triton_grpc_port}",
        "--http-address=127.0.0.1",
        f"--http-port={settings.triton_http_port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={settings.triton_metrics_port}",
        "--exit-timeout-secs=10",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(settings)}",
    ]


def shared_memory_prefix(settings: Settings) -> str:
    """Of the names of this Triton's regions in /dev/shm, and of no other's."""
    return f"recstack-{settings.triton_grpc_port}-"


def main() -> None:
    """Replace this process, so that signals and the exit code are Triton's."""
    settings = from_environment()
    # A Triton that was killed leaves its regions behind, and the pod's shared memory outlives the container.
    for region in SHARED_MEMORY.glob(f"{shared_memory_prefix(settings)}*"):
        region.unlink(missing_ok=True)
    settings.repository.mkdir(parents=True, exist_ok=True)
    subprocess.Popen([sys.executable, "-m", "recstack_gateway.memory"])
    arguments = command(settings)
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
