"""``make bench-swap``: swaps under open-loop load, kills at random points; one line of JSON last."""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from recstack_demo import lab
from recstack_demo.cluster import CommandFailed
from recstack_demo.main import OPERATOR_NAMESPACE, install
from rich.console import Console
from rich.progress import Progress

from benchmarks.swap.cluster import Bench, BenchFailed
from benchmarks.swap.figures import Swap, summary

IMAGE = "localhost/recstack/serving:dev"
SETTLE_SECONDS = 90.0
REST_SECONDS = 3.0
"""Between swaps, for the latency without one."""


def swap(bench: Bench, version: str) -> Swap:
    """Ask for ``version`` and wait until it answers alone, the old one unloaded."""
    asked = time.time()
    bench.pin(version)
    bench.until(f"{version} answers alone", lambda: bench.settled(version), SETTLE_SECONDS)
    return Swap(asked, time.time(), version)


def swaps(bench: Bench, versions: tuple[str, str], count: int, rate: float, bar: Progress) -> dict[str, Any]:
    """``count`` swaps there and back under load."""
    task = bar.add_task("swaps", total=count)
    done: list[Swap] = []
    with bench.load(rate) as end:
        time.sleep(10)
        for number in range(count):
            done.append(swap(bench, versions[(number + 1) % 2]))
            bar.advance(task)
            time.sleep(REST_SECONDS)
        seen = end()
    taken = sorted(one.done - one.asked for one in done)
    return {"swaps": len(done), "swapSeconds": round(taken[len(taken) // 2], 1), **summary(seen, done)}


def kills(bench: Bench, versions: tuple[str, str], count: int, rate: float, bar: Progress) -> dict[str, Any]:
    """In each of ``count`` rollouts, the leading operator or a serving pod is killed at a random moment."""
    task = bar.add_task("kills", total=count)
    lot, killed, done = random.Random(11), Counter[str](), list[Swap]()
    live = bench.get("rstack", "shop")["status"]["liveVersion"]
    pods = len(bench.pods())
    with bench.load(rate) as end:
        time.sleep(5)
        for number in range(count):
            wanted = versions[0] if live == versions[1] else versions[1]
            asked = time.time()
            bench.pin(wanted)
            time.sleep(lot.uniform(0, 6))
            if number % 2:
                bench.kube("delete", "pod", lot.choice(bench.pods()), "--grace-period=0", "--force")
                killed["serving pod"] += 1
            else:
                name = bench.leader()
                at = ("-n", OPERATOR_NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force")
                bench.cluster.kube(*at)
                killed["operator"] += 1
            bench.until("all pods are ready", lambda: len(bench.pods()) == pods, SETTLE_SECONDS)
            bench.until(f"{wanted} answers alone", lambda: bench.settled(wanted), SETTLE_SECONDS)  # noqa: B023
            done.append(Swap(asked, time.time(), wanted))
            live = wanted
            bar.advance(task)
        seen = end()
    return {"kills": dict(killed), "rightEnds": len(done), **summary(seen, done)}


def main() -> int:
    """Run both; the exit status tells whether the goals were met."""
    parser = argparse.ArgumentParser(prog="bench-swap", description=__doc__)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rate", type=float, default=120.0, help="requests a second")
    parser.add_argument("--keep", action="store_true", help="leave lab and stack up")
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args()
    console = Console(stderr=True)
    try:
        cluster = lab.up(keep=options.keep)
        install(cluster, [])
        bench = Bench(cluster, IMAGE, console.print)
        try:
            versions = bench.prepare(options.replicas)
            with Progress(console=console) as bar:
                result: dict[str, Any] = {
                    "replicas": options.replicas,
                    "swapping": swaps(bench, versions, options.swaps, options.rate, bar),
                }
                if options.kills:
                    result["killing"] = kills(bench, versions, options.kills, options.rate, bar)
        finally:
            if not options.keep:
                bench.take_down()
    except (CommandFailed, BenchFailed) as error:
        console.print(f"[red]bench-swap:[/] {error}")
        return 1
    finally:
        if not options.keep:
            lab.down()
    text = json.dumps(result)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
