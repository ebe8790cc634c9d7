"""Entry of the ``triton`` container: becomes Triton, with nothing loaded.

It restarts nothing: when Triton dies the container ends, the kubelet starts it again, and the gateway, which
notices by inference, loads what the plan wants.
"""

import os

from recstack_gateway.settings import Settings, from_environment


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
        # Two pods of one node, or a Triton that was killed, must not meet in /dev/shm.
        f"--backend-config=python,shm-region-prefix-name=recstack-{os.getpid()}-",
    ]


def main() -> None:
    """Replace this process, so that signals and the exit code are Triton's."""
    settings = from_environment()
    settings.repository.mkdir(parents=True, exist_ok=True)
    arguments = command(settings)
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
