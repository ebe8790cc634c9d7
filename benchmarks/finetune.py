"""Seconds from a new day's file to a fine-tune that answers, on the demo's data: ``make bench-finetune``.

A real cluster of this machine; tables and packages in its S3 server. The first twelve days make a version;
the thirteenth is uploaded, and the stack sees it by itself. Prints one JSON line last.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import yaml
from recstack_crds.v1alpha1.data import Synthetic
from recstack_demo import lab
from recstack_demo.cluster import Cluster, CommandFailed
from recstack_demo.main import install, watch
from recstack_training.synthetic.write import generate
from rich.console import Console

SPACE, STACK, BUCKET = "bench-finetune", "shop", "bench-finetune"
NEW = "day_12.parquet"
LATER = {NEW, "day_13.parquet"}
LIMIT = 600.0
"""Seconds."""


def spec(s3: dict[str, str]) -> dict[str, Any]:
    """The demo's stack, its data and packages in S3; it looks for new days every minute."""
    where = {"bucket": BUCKET, "endpoint": s3["endpoint"], "secretName": "s3-keys"}
    return {
        "data": {"source": {"s3": where | {"prefix": "tables"}}},
        "stores": {"artifacts": {"s3": where | {"prefix": "models"}}},
        "training": {"triggers": {"newData": {"every": "1m", "kind": "FineTune"}}},
    }


def until(check: Callable[[], Any], what: str) -> Any:
    """Wait for something true.

    Raises:
        CommandFailed: it did not come.
    """
    deadline = time.monotonic() + LIMIT
    while not (found := check()):
        if time.monotonic() > deadline:
            raise CommandFailed(f"{what}: not within {LIMIT:.0f} s")
        time.sleep(0.5)
    return found


def measure(cluster: Cluster, console: Console, s3: dict[str, str], tables: Path) -> dict[str, Any]:
    """Train on twelve days, then upload the next; gives seconds."""

    def apply(kind: str, version: str, name: str, **content: Any) -> None:
        thing = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}}
        cluster.kube("apply", "-f", "-", stdin=yaml.safe_dump(thing | content))

    client = boto3.client(
        "s3", endpoint_url=s3["endpoint_here"], region_name=s3["region"],
        aws_access_key_id=s3["access_key"], aws_secret_access_key=s3["secret_key"],
    )  # fmt: skip
    for file in tables.glob("*.parquet"):
        if file.name not in LATER:
            client.upload_file(str(file), BUCKET, f"tables/{file.name}")
    cluster.kube("create", "namespace", SPACE)
    keys = {"AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]}
    apply("Secret", "v1", "s3-keys", stringData=keys)
    apply("RecommenderStack", "recstack.dev/v1alpha1", STACK, spec=spec(s3))
    full = watch(cluster, SPACE, STACK, LIMIT, console)

    def tuned() -> dict[str, Any]:
        found = cluster.get("mver", "-n", SPACE)["items"]
        return next((dict(one) for one in found if one["spec"].get("kind") == "FineTune"), {})

    def answers() -> bool:
        live = cluster.get("rstack", STACK, "-n", SPACE)["status"]["liveVersion"]
        return bool(live == tuned()["metadata"]["name"])

    client.upload_file(str(tables / NEW), BUCKET, f"tables/{NEW}")
    began = time.monotonic()
    until(tuned, "a version is made for the new day")
    seen = time.monotonic()
    until(answers, "it answers")
    ended = time.monotonic()
    steps = {one["name"]: one.get("computeSeconds") for one in tuned()["status"]["steps"]}
    return {
        "full, apply to Ready, s": round(full, 1),
        "new day to Live, s": round(ended - began, 1),
        "of that until it was seen, s": round(seen - began, 1),
        "steps, s of compute": steps,
    }


def main() -> int:
    """Run it on a lab of its own."""
    parser = argparse.ArgumentParser(prog="benchmarks.finetune", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave lab and stack up")
    options = parser.parse_args()
    console = Console(stderr=True)
    try:
        cluster = lab.up(keep=options.keep)
        install(cluster, [])
        with tempfile.TemporaryDirectory() as folder:
            tables = Path(folder) / "tables"
            generate(Synthetic(), tables, Path(folder), Path(folder) / "scratch")
            result = measure(cluster, console, lab.s3(BUCKET), tables)
    except CommandFailed as error:
        console.print(f"[red]benchmarks.finetune:[/] {error}")
        return 1
    finally:
        if not options.keep:
            lab.down()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
