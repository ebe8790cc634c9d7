"""The command line; each flag has an environment variable, as a chart sets those."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recstack_controllers.settings import Images, Settings


@dataclass(frozen=True)
class Options:
    """What one process is told. ``namespaces`` empty: all."""

    namespaces: tuple[str, ...]
    settings: Settings
    identity: str
    lease: str
    port: int
    log_level: str


def parse(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """Flags win over variables; argparse exits with 2 when an image is missing."""
    parser = argparse.ArgumentParser(prog="recstack-operator", description="The recstack operator.")

    def flag(name: str, variable: str, default: str | None, text: str) -> None:
        value = environment.get(variable) or default
        parser.add_argument(
            name, default=value, required=value is None, help=f"{text} (${variable}, default: {default})"
        )

    namespaces = [name for name in environment.get("RECSTACK_WATCH_NAMESPACES", "").split(",") if name]
    parser.add_argument(
        "--namespace",
        action="append",
        help="look after this one (repeatable; $RECSTACK_WATCH_NAMESPACES, comma separated; default: all)",
    )
    flag("--operator-namespace", "POD_NAMESPACE", "recstack-system", "where the Lease lies")
    flag("--identity", "POD_NAME", f"{socket.gethostname()}-{os.getpid()}", "holder of the Lease")
    flag("--lease", "RECSTACK_LEASE", "recstack-operator", "name of the Lease")
    flag("--training-image", "RECSTACK_TRAINING_IMAGE", None, "image of the training steps")
    flag("--serving-image", "RECSTACK_SERVING_IMAGE", None, "image of Triton and its gateway")
    flag("--valkey-image", "RECSTACK_VALKEY_IMAGE", None, "image of Valkey")
    flag("--feast-image", "RECSTACK_FEAST_IMAGE", None, "image of Feast's Jobs")
    flag("--image-pull-policy", "RECSTACK_IMAGE_PULL_POLICY", "IfNotPresent", "of all those")
    flag("--image-pull-secrets", "RECSTACK_IMAGE_PULL_SECRETS", "", "Secrets of theirs, comma separated")
    flag("--port", "RECSTACK_PORT", "9090", "of /metrics, /healthz and /readyz")
    flag("--log-level", "RECSTACK_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
    found = parser.parse_args(argv)
    images = Images(found.training_image, found.serving_image, found.valkey_image, found.feast_image)
    return Options(
        namespaces=tuple(found.namespace or namespaces),
        settings=Settings(
            images,
            found.image_pull_policy,
            found.operator_namespace,
            tuple(name for name in found.image_pull_secrets.split(",") if name),
        ),
        identity=found.identity,
        lease=found.lease,
        port=int(found.port),
        log_level=found.log_level,
    )
