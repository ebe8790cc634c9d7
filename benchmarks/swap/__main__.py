"""``make bench-swap``: swaps under open-loop load, kills at random points; one line of JSON last."""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from recstack_demo import lab
from recstack_demo.cluster import CommandFailed
from recstack_demo.main import OPERATOR_NAMESPACE, install
from rich.console import Console
from rich.progress import Progress

from benchmarks.swap.cluster import Bench, BenchFailed
from benchmarks.swap.figures import Kill, Swap, killing, summary

SETTLE_SECONDS = 90.0
WARM_SECONDS = 10.0
REST_SECONDS = 3.0
"""Between swaps, for the latency without one."""
FORCE = ("--grace-period=0", "--force")


def swap(bench: Bench, version: str) -> Swap:
    """Ask for ``version`` and wait until it answers alone, the old one unloaded."""
    asked = time.time()
    bench.pin(version)
    bench.until(f"{version} answers alone", lambda: bench.settled(version), SETTLE_SECONDS)
    return Swap(asked, time.time(), version)


def swaps(
    bench: Bench, versions: tuple[str, str], options: argparse.Namespace, bar: Progress
) -> dict[str, Any]:
    """Swaps there and back under load, with pauses that bring it to the least number of requests."""
    count, rate = options.swaps, options.rate
    task = bar.add_task("swaps", total=count)
    done: list[Swap] = []
    with bench.load(rate) as end:
        began = time.monotonic()
        bench.rest(versions[0], WARM_SECONDS)
        for number in range(count):
            done.append(swap(bench, version := versions[(number + 1) % 2]))
            bar.advance(task)
            left = WARM_SECONDS + options.requests / rate * (number + 1) - (time.monotonic() - began)
            bench.rest(version, max(REST_SECONDS, left))
        seen = end()
    taken = sorted(one.done - one.asked for one in done)
    middle = round(taken[len(taken) // 2], 1)
    return {"swaps": len(done), "swapSeconds": middle, **summary(seen, done, WARM_SECONDS)}


def kill(bench: Bench, number: int, lot: random.Random) -> Kill:
    """The leading operator, then a serving pod, in turns; every other pod is told to go and has its time."""
    if number % 2 == 0:
        name = bench.leader()
        at = time.time()
        bench.cluster.kube("-n", OPERATOR_NAMESPACE, "delete", "pod", name, *FORCE)
        return Kill(at, "operator", serving=False)
    name, at = lot.choice(bench.pods()), time.time()
    if number % 4 == 1:
        bench.kube("delete", "pod", name, *FORCE)
        return Kill(at, "serving pod, at once", serving=True)
    bench.kube("delete", "pod", name, "--wait=false")
    return Kill(at, "serving pod, told to stop", serving=False)


def kills(bench: Bench, versions: tuple[str, str], count: int, rate: float, bar: Progress) -> dict[str, Any]:
    """In each of ``count`` rollouts, the leading operator or a serving pod is killed at a random moment."""
    task = bar.add_task("kills", total=count)
    lot, done = random.Random(11), list[Kill]()
    live, pods = bench.live(), len(bench.pods())
    with bench.load(rate) as end:
        time.sleep(WARM_SECONDS / 2)
        for number in range(count):
            wanted = versions[live == versions[0]]
            bench.pin(wanted)
            time.sleep(lot.uniform(0, 5))
            done.append(kill(bench, number, lot))
            bench.until("all pods are ready", lambda: len(bench.pods()) == pods, SETTLE_SECONDS)
            bench.until(f"{wanted} answers alone", lambda: bench.settled(wanted), SETTLE_SECONDS)  # noqa: B023
            live = wanted
            bar.advance(task)
        seen = end()
    return {"rightEnds": len(done), **killing(seen, done)}


def run(bench: Bench, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Both parts; what was made for them is gone after that, unless it is to be kept."""
    began, rate = time.monotonic(), options.rate
    try:
        versions = bench.prepare(options.replicas)
        result: dict[str, Any] = {"replicas": options.replicas, "rate": rate}
        with Progress(console=console) as bar:
            if options.swaps:
                result["swapping"] = swaps(bench, versions, options, bar)
                console.print_json(data=result)  # whatever becomes of the kills
            if options.kills:
                result["killing"] = kills(bench, versions, options.kills, rate, bar)
        return result | {"minutes": round((time.monotonic() - began) / 60, 1)}
    finally:
        if not options.keep:
            bench.take_down()


def main() -> int:
    """Run both."""
    parser = argparse.ArgumentParser(prog="bench-swap", description=__doc__)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rate", type=float, default=120.0, help="requests a second")
    parser.add_argument("--requests", type=int, default=1000, help="at least, for each swap")
    parser.add_argument("--lab", default=lab.DEFAULT, help="name of the lab")
    parser.add_argument("--keep", action="store_true", help="leave lab and stack up")
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args()
    console = Console(stderr=True)
    try:
        cluster = lab.up(keep=options.keep, name=options.lab)
        install(cluster, [])
        with cluster.api() as url, httpx.Client(base_url=url, trust_env=False) as api:
            result = run(Bench(cluster, api, console.print), options, console)
    except (CommandFailed, BenchFailed) as error:
        console.print(f"[red]bench-swap:[/] {error}")
        return 1
    finally:
        if not options.keep:
            lab.down(options.lab)
    text = json.dumps(result)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
