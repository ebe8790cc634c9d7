"""A real S3 server inside the lab's cluster, for data and packages."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recstack_lab import loading, manifests
from recstack_lab.binaries import binary
from recstack_lab.cluster import Cluster
from recstack_lab.commands import run, succeeds
from recstack_lab.config import Lab, LabError
from recstack_lab.console import step
from recstack_lab.probes import wait_until

NAMESPACE = "recstack-lab"
SECRET = "s3"
PORT = 7070
REGION = "us-east-1"
_SECONDS = 120.0
_TRY_SECONDS = 3.0
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Server:
    """How to reach the server: URLs from pods and from this machine, root's keys, its buckets."""

    endpoint: str
    endpoint_here: str
    region: str
    access_key: str
    secret_key: str
    secret: str
    buckets: tuple[str, ...]


def up(lab: Lab, node: loading.Node, programs: Path, buckets: Sequence[str]) -> Server:
    """Install the server if it is not there, and make the buckets that it does not have."""
    node.load(loading.program_image(loading.S3_IMAGE, programs))
    cluster = Cluster(lab)
    access, secret = _keys(cluster) or ("recstack-lab", secrets.token_urlsafe(24))
    with step("installing the S3 server"):
        cluster.apply(
            manifests.s3(
                {
                    "NAMESPACE": NAMESPACE,
                    "PORT": str(PORT),
                    "REGION": REGION,
                    "ACCESS_KEY": access,
                    "SECRET_KEY": secret,
                    "IMAGE": loading.S3_IMAGE,
                }
            )
        )
        cluster.wait_for_deployment(NAMESPACE, "s3", _SECONDS)
    here = _address(cluster)
    if here is None:
        raise LabError("the S3 server's Service has no address")
    admin = [str(binary("versitygw")), "admin", "--access", access, "--secret", secret, "--region", REGION]
    admin += ["--endpoint-url", here]

    # Ready means that the server answers; kube-proxy may need a moment more to lead there. A connection
    # opened before that leaves the machine, and nothing may ever answer it: each try is short and opens anew.
    wait_until(
        lambda: succeeds([*admin, "list-buckets"], timeout=_TRY_SECONDS),
        "the S3 server answers through its Service",
        _SECONDS,
    )
    there = parse_buckets(run([*admin, "list-buckets"], timeout=30))
    for bucket in buckets:
        if bucket not in there:
            run([*admin, "create-bucket", "--owner", access, "--bucket", bucket], timeout=30)
    names = tuple(sorted({*there, *buckets}))
    endpoint = f"http://s3.{NAMESPACE}.svc:{PORT}"
    return Server(endpoint, here, REGION, access, secret, f"{NAMESPACE}/{SECRET}", names)


def describe(lab: Lab) -> str:
    """The server's address for `status`; empty when it is not installed."""
    here = _address(Cluster(lab))
    return (
        f"http://s3.{NAMESPACE}.svc:{PORT} (from this machine {here}), keys in Secret {NAMESPACE}/{SECRET}"
        if here
        else ""
    )


def parse_buckets(table: str) -> list[str]:
    """The names in what `versitygw admin list-buckets` prints: a head, a rule, a line for each bucket."""
    return [line.split()[0] for line in table.splitlines()[2:] if line.strip()]


def _keys(cluster: Cluster) -> tuple[str, str] | None:
    found = cluster.get("secret", SECRET, f"--namespace={NAMESPACE}")
    if found is None:
        return None
    values = [base64.b64decode(found["data"][key]).decode() for key in _KEYS]
    return values[0], values[1]


def _address(cluster: Cluster) -> str | None:
    service = cluster.get("service", "s3", f"--namespace={NAMESPACE}")
    return f"http://{service['spec']['clusterIP']}:{PORT}" if service else None
