"""``python -m recstack_demo``: install, apply, watch, ask, take down."""

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from recstack_demo import lab
from recstack_demo.cluster import Cluster, CommandFailed
from recstack_demo.progress import Line, changes, condition, is_true, lines

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE = "recstack-system"
RELEASE = "recstack"
DEFINITIONS = ("recommenderstacks.recstack.dev", "modelversions.recstack.dev")
COLOURS = {"True": "green", "Succeeded": "green", "False": "yellow", "Failed": "red", "Running": "cyan"}


class DemoFailed(RuntimeError):
    """The stack will not become ready; the message says why."""


def own_cluster(context: str) -> Cluster:
    """The caller's cluster, by the name of its context.

    Raises:
        DemoFailed: when kubectl or helm is missing.
    """
    kubectl, helm = shutil.which("kubectl"), shutil.which("helm")
    if not kubectl or not helm:
        raise DemoFailed("CONTEXT needs kubectl and helm on PATH: install them, or leave CONTEXT out")
    return Cluster(kubectl=kubectl, helm=helm, context=context)


def install(cluster: Cluster, values: list[str]) -> None:
    """Install or upgrade the chart and wait until the operator runs."""
    arguments = [part for value in values for part in ("--set", value)]
    cluster.helm_run(
        "upgrade", "--install", RELEASE, str(ROOT / "helm/recstack"), "--namespace", OPERATOR_NAMESPACE,
        "--create-namespace", "--wait", "--timeout", "3m", *arguments,
    )  # fmt: skip


def watch(cluster: Cluster, namespace: str, name: str, limit: float, console: Console) -> float:
    """Print every change of state until the stack is Ready; gives the seconds it took.

    Raises:
        DemoFailed: the stack is stalled, or ``limit`` seconds have passed.
    """
    began = time.monotonic()
    before: list[Line] = []
    while True:
        stack = cluster.get("rstack", name, "-n", namespace)
        versions = (cluster.get("mver", "-n", namespace) or {"items": []})["items"]
        after = lines([*versions, *([stack] if stack else [])])
        passed = time.monotonic() - began
        for line in changes(before, after):
            colour = COLOURS.get(line.state, "white")
            text = f"[dim]{passed:6.1f} s[/]  {line.name}  [{colour}]{line.state}[/]  {line.message}"
            console.print(text, soft_wrap=True)
        before = after
        if is_true(stack, "Ready"):
            return passed
        for thing in [stack, *versions]:
            if is_true(thing, "Stalled"):
                found = condition(thing, "Stalled") or {}
                raise DemoFailed(f"{thing['kind']} {thing['metadata']['name']}: {found.get('message')}")
        if passed > limit:
            raise DemoFailed(
                f"not ready after {limit:.0f} s; see: kubectl -n {namespace} describe rstack {name}"
            )
        time.sleep(1)


def compute_seconds(cluster: Cluster, namespace: str) -> dict[str, float]:
    """Seconds of the training steps' own work, by step."""
    versions = cluster.get("mver", "-n", namespace)["items"]
    return {s["name"]: s.get("computeSeconds") or 0.0 for v in versions for s in v["status"].get("steps", [])}


def ask(url: str, user: int | None, context: dict[str, Any]) -> dict[str, Any]:
    """One recommendation of ten items."""
    body = {"user_id": user, "k": 10, "context": context}
    answer = httpx.post(f"{url}/v1/recommend", json=body, timeout=10)
    answer.raise_for_status()
    return dict(answer.json())


def latency(cluster: Cluster, namespace: str, name: str) -> dict[str, float]:
    """Milliseconds of one request after another, measured in a serving pod."""
    script = Path(__file__).with_name("latency.py").read_text()
    where = ("exec", "-i", "-n", namespace, f"deploy/{name}-serving", "-c", "gateway")
    return dict(json.loads(cluster.kube(*where, "--", "python", "-", stdin=script).splitlines()[-1]))


def operator_usage(cluster: Cluster) -> dict[str, float]:
    """Resident MiB, and percent of a CPU over ten seconds, of the operator that leads or stands by."""
    where = ("exec", "-i", "-n", OPERATOR_NAMESPACE, "deploy/recstack-operator", "--", "python", "-")
    script = Path(__file__).with_name("usage.py").read_text()
    return dict(json.loads(cluster.kube(*where, stdin=script)))


def show(cluster: Cluster, namespace: str, name: str, seconds: float, console: Console) -> dict[str, Any]:
    """Status table, two people's lists, the figures; gives the figures."""
    console.print(cluster.kube("get", "rstack,mver", "-n", namespace).strip(), soft_wrap=True)
    steps = compute_seconds(cluster, namespace)
    metrics = cluster.get("mver", "-n", namespace)["items"][-1]["status"]["metrics"]
    with cluster.forward(namespace, f"svc/{name}", 8080) as url:
        for user, context in ((1, {}), (2, {}), (None, {})):
            reply = ask(url, user, context)
            who = "a visitor who is not known" if user is None else f"user {user}"
            table = Table("item", "title", "score", title=f"Recommended for {who} by {reply['version']}")
            for item in reply["items"]:
                table.add_row(str(item["id"]), item.get("title") or "", f"{item['score']:.4f}")
            console.print(table)
    figures = {
        "applyToReadySeconds": round(seconds, 1),
        "computeSeconds": round(sum(steps.values()), 1),
        "overheadSeconds": round(seconds - sum(steps.values()), 1),
        "requestMilliseconds": latency(cluster, namespace, name),
        "operator": operator_usage(cluster),
        "metrics": metrics,
    }
    table = Table("step", "seconds of compute", title="Training")
    for step, spent in steps.items():
        table.add_row(step, f"{spent:.1f}")
    console.print(table)
    endpoint = (cluster.get("rstack", name, "-n", namespace) or {}).get("status", {}).get("endpoint")
    console.print(f"gateway, inside the cluster: {endpoint}")
    return figures


@dataclass(frozen=True)
class Before:
    """What was on the cluster before the demo, and so is left there."""

    namespace: bool
    release: bool
    definitions: bool

    @classmethod
    def of(cls, cluster: Cluster, namespace: str) -> "Before":
        """Look at the cluster."""
        releases = json.loads(cluster.helm_run("list", "--namespace", OPERATOR_NAMESPACE, "--output", "json"))
        return cls(
            namespace=cluster.get("namespace", namespace) is not None,
            release=any(release["name"] == RELEASE for release in releases),
            definitions=cluster.get("crd", DEFINITIONS[0]) is not None,
        )


def take_down(cluster: Cluster, namespace: str, sample: Path, before: Before, console: Console) -> None:
    """Delete what the demo made; each part is tried even if another fails."""
    console.rule("taking it down (KEEP=1 leaves it)")
    delete = partial(cluster.kube, "delete", "--ignore-not-found", "--timeout=120s")
    steps = [partial(delete, "-n", namespace, "-f", str(sample))]
    if not before.namespace:
        steps.append(partial(delete, "namespace", namespace))
    if not before.release:
        steps.append(partial(cluster.helm_run, "uninstall", RELEASE, "-n", OPERATOR_NAMESPACE))
        steps.append(partial(delete, "namespace", OPERATOR_NAMESPACE))
    if not before.definitions:  # the chart keeps them on uninstall, as others' stacks would go with them
        steps.append(partial(delete, "crd", *DEFINITIONS))
    for step in steps:
        try:
            step()
        except CommandFailed as error:
            console.print(f"[red]{error}[/]")


def demo(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The whole story; gives its figures."""
    cluster = own_cluster(arguments.context) if arguments.context else lab.up(keep=arguments.keep)
    sample = Path(arguments.sample)
    try:
        before = Before.of(cluster, arguments.namespace)
        try:
            console.rule("helm install")
            install(cluster, arguments.set)
            if not before.namespace:
                cluster.kube("create", "namespace", arguments.namespace)
            console.rule(f"kubectl apply -f {sample.name}")
            cluster.kube("apply", "-n", arguments.namespace, "-f", str(sample))
            seconds = watch(cluster, arguments.namespace, arguments.name, arguments.timeout, console)
            return show(cluster, arguments.namespace, arguments.name, seconds, console)
        finally:
            if arguments.context and not arguments.keep:
                take_down(cluster, arguments.namespace, sample, before, console)
    finally:
        if not arguments.context and not arguments.keep:
            # Nothing of it outlives the lab: there is no need to delete in it first.
            lab.down()


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; 0 when the stack became Ready and answered."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--context", default=os.environ.get("CONTEXT"), help="kube context; left out: the lab"
    )
    parser.add_argument("--namespace", default="recstack-demo")
    parser.add_argument("--name", default="quickstart", help="name of the stack in the sample")
    parser.add_argument("--sample", default=str(ROOT / "samples/quickstart.yaml"))
    parser.add_argument("--timeout", type=float, default=1200, help="seconds until Ready")
    parser.add_argument("--set", action="append", default=[], help="a Helm value, key=value")
    parser.add_argument("--keep", action="store_true", default=os.environ.get("KEEP") == "1")
    arguments = parser.parse_args(argv)
    console = Console()
    try:
        figures = demo(arguments, console)
    except (DemoFailed, CommandFailed, httpx.HTTPError) as error:
        console.print(f"[bold red]demo failed:[/] {error}")
        return 1
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
