"""The reference's way of serving, ours as an ensemble and ours fused, side by side: ``make bench-serving``.

One bundle, trained by the real steps on the default synthetic data; 300 candidates, replies of 100 items; a
real Valkey. All are up at once and take turns, so that what else the machine does hits all alike. First all
must give the same answers. At last how a serving pod with one model process grows with its catalog.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from valkey import Valkey

from benchmarks.serving import catalogs, load, plot
from benchmarks.serving.baseline import repository
from benchmarks.serving.baseline.stages import seen_key
from benchmarks.serving.load import Load, Measured
from benchmarks.serving.servers import OurPod, Reference, Target, compute_milliseconds
from benchmarks.serving.trained import ROOT, Trained, trained
from tests.serving.valkey_server import ValkeyServer

USERS, SEEN = 200, 20
CHECKS, TOLERANCE = 40, 1e-4
PROFILED = 400
BATCHES = (1, 8, 32, 128)
CORES = len(os.sched_getaffinity(0))
"""The fused graph gets a model process for each, as docs/spec/serving.md advises; the reference has 15."""
REFERENCE, CACHED, ENSEMBLE, FUSED, BEFORE = (
    "reference",
    "reference, cached",
    "ensemble",
    "fused",
    "fused, before",
)
GATEWAY = " through the gateway"
Json = dict[str, Any]


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("serving", "training", "reference"):
        parser.add_argument(f"--{name}-python", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="other catalogs")
    parser.add_argument("--before", type=Path, help="another working tree, whose fused graph is measured too")
    parser.add_argument("--without-reference", action="store_true", help="for work on the hot path")
    parser.add_argument("--plot", type=Path, help="SVG to write")
    return parser.parse_args()


class Bench:
    """The measurements; ``console`` gets what a person may want to watch."""

    def __init__(self, options: argparse.Namespace, folder: Path, console: Console) -> None:
        self._options, self._folder, self._console = options, folder, console
        self._trained: Trained = self._step("training a package, or finding it", self._train)
        with np.load(self._trained.package / "users.npz") as table:
            self._users: list[int] = table["__id__"][:USERS].tolist()
            self._items = len(np.load(self._trained.package / "items.npz")["__id__"])

    def _train(self) -> Trained:
        return trained(self._options.training_python)

    def _step(self, what: str, work: Callable[[], Any]) -> Any:
        with self._console.status(what):
            result = work()
        self._console.print(f"[green]✓[/green] {what}")
        return result

    def side_by_side(self) -> Json:
        """Throughput, latency, profile and memory of all on the trained package."""
        with ExitStack() as stack:
            (self._folder / "valkey").mkdir()
            valkey = stack.enter_context(ValkeyServer(self._folder / "valkey"))
            targets: dict[str, Target] = {}
            pods: dict[str, OurPod] = {}
            graphs = [(FUSED, "fused", ROOT), (ENSEMBLE, "ensemble", ROOT)]
            if self._options.before:
                graphs.append((BEFORE, "fused", self._options.before.resolve()))
            for name, graph, tree in graphs:
                pods[name] = pod = OurPod(
                    self._folder / name.replace(", ", "-"), valkey, self._options.serving_python, tree
                )
                stack.callback(pod.stop)
                targets[name] = self._step(
                    f"starting {name}", partial(pod.start, self._trained.package, graph, instances=CORES)
                )
            if not self._options.without_reference:
                found = self._step("starting the reference", lambda: self._reference(stack, valkey))
                targets = {one.name: one for one in found} | targets
            self._see(pods[FUSED].pod.client, Valkey.from_url(valkey.url))
            agreement = self._step("checking that all give the same answers", lambda: self._agree(targets))
            gateways = {name + GATEWAY: targets[name].through(pod.pod.port) for name, pod in pods.items()}
            measured = self._rounds(targets | gateways)
            profile = self._step("explained requests", lambda: self._profile(pods[FUSED].pod.client))
            batches = self._step("batches", lambda: self._batches(pods[FUSED].pod.client))
            memory = {name: pod.memory() for name, pod in pods.items()}
        return {
            "agreement": agreement,
            "measured": measured,
            "requests a second by size of batch": batches,
            "stages, mean microseconds": profile,
            "memory, MiB": memory,
        }

    def _reference(self, stack: ExitStack, valkey: ValkeyServer) -> list[Target]:
        python = self._options.reference_python
        reference = Reference(self._folder / "reference", valkey, python, self._trained)
        stack.callback(reference.stop)
        return reference.start()

    def _see(self, client: httpx.Client, valkey: Valkey) -> None:
        """Every other user has seen some items, in our filter and in the reference's."""
        for user in self._users[::2]:
            items = [1 + (user * 31 + 7 * n) % self._items for n in range(SEEN)]
            events = [{"event_id": f"{user}-{item}", "user_id": user, "item_id": item} for item in items]
            client.post("/v1/events", json={"events": events}).raise_for_status()
            valkey.sadd(seen_key(user), *items)

    def _agree(self, targets: dict[str, Target]) -> Json:
        """The same items with the same scores, else this comparison would be of different things.

        Raises:
            SystemExit: they differ.
        """
        callers = {name: load.caller(one.load(1, 0, self._users)) for name, one in targets.items()}
        worst = 0.0
        for number in range(CHECKS):
            answers = {name: _answer(targets[name].kind, call(number)) for name, call in callers.items()}
            expected = answers[FUSED]
            for name, answer in answers.items():
                if answer.keys() != expected.keys():
                    sys.exit(f"request {number}: {name} gives other items than {FUSED}")
                off = max(abs(answer[item] - score) for item, score in expected.items())
                worst = max(worst, off)
                if off > TOLERANCE:
                    sys.exit(f"request {number}: scores of {name} differ from those of {FUSED} by {off:.2g}")
        return {"requests": CHECKS, "largest score difference": round(worst, 8)}

    def _rounds(self, targets: dict[str, Target]) -> dict[str, dict[str, Json]]:
        """By target and concurrency; of several rounds the median of each figure."""
        found: dict[str, dict[str, list[Json]]] = {name: {} for name in targets}
        for number in range(self._options.rounds):
            for concurrency in self._options.concurrency:
                for name, target in targets.items():
                    with self._console.status(f"round {number + 1}: {name}, concurrency {concurrency}"):
                        one = self._measure(target, concurrency)
                    found[name].setdefault(str(concurrency), []).append(one)
        return {
            name: {
                concurrency: {key: round(float(np.median([one[key] for one in ones])), 3) for key in ones[0]}
                for concurrency, ones in by.items()
            }
            for name, by in found.items()
        }

    def _measure(self, target: Target, concurrency: int) -> Json:
        count, spent = compute_milliseconds(target)
        one = asdict(generate(target.load(concurrency, self._options.seconds, self._users)))
        after, total = compute_milliseconds(target)
        return one | {"triton mean": (total - spent) / max(1, after - count)}

    def _profile(self, client: httpx.Client) -> Json:
        """Mean microseconds of each stage in the pod, as ``explain`` has them."""
        sums: dict[str, float] = {}
        for number in range(PROFILED):
            body = json.loads(load.body(number, self._users)) | {"explain": True}
            answer = client.post("/v1/recommend", json=body).raise_for_status().json()
            for stage, milliseconds in answer["explain"]["stages"].items():
                sums[stage] = sums.get(stage, 0.0) + milliseconds
        return {stage: round(value / PROFILED * 1000, 1) for stage, value in sums.items()}

    def _batches(self, client: httpx.Client) -> Json:
        """Requests a second of one caller of the fused graph's gateway."""
        rates: Json = {}
        for size in BATCHES:
            asked = [json.loads(load.body(number, self._users)) for number in range(size)]
            count, began = 0, time.perf_counter()
            while (spent := time.perf_counter() - began) < self._options.seconds / 2:
                client.post("/v1/recommend:batch", json={"requests": asked}).raise_for_status()
                count += size
            rates[str(size)] = round(count / spent)
        return rates

    def sizes(self) -> Json:
        """Memory and latency of one pod alone, by the size of its catalog."""
        return {str(items): self._size(items) for items in (self._items, *self._options.sizes)}

    def _size(self, items: int) -> Json:
        folder = self._folder / f"catalog-{items}"
        folder.mkdir()
        package = self._trained.package
        if items != self._items:
            package = self._step(
                f"a catalog of {items:,}", lambda: catalogs.stretched(self._trained.package, items)
            )
        with ExitStack() as stack:
            valkey = stack.enter_context(ValkeyServer(folder))
            pod = OurPod(folder / "pod", valkey, self._options.serving_python)
            stack.callback(pod.stop)
            target = self._step(f"serving {items:,} items", lambda: pod.start(package, "fused", 240))
            one = asdict(generate(target.load(1, self._options.seconds, self._users)))
            index = json.loads((package / "manifest.json").read_bytes())["retrieval"].get("index")
            return one | {"index": index, "memory, MiB": pod.memory()}


def generate(one: Load) -> Measured:
    """Run the load generator."""
    words = [sys.executable, "-m", "benchmarks.serving.load", json.dumps(asdict(one))]
    output = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
    return Measured(**json.loads(output.splitlines()[-1]))


def _answer(kind: str, content: bytes) -> dict[int, float]:
    """Score by item."""
    if kind != "reference":
        return {one["id"]: one["score"] for one in json.loads(content)["items"]}
    count = len(content) // 12
    ids, scores = (
        np.frombuffer(content, np.int64, count),
        np.frombuffer(content, np.float32, offset=8 * count),
    )
    return dict(zip(ids.tolist(), scores.tolist(), strict=True))


def summary(measured: dict[str, dict[str, Json]], sizes: Json) -> Json:
    """What the goals are about; a figure whose parts were not measured is left out."""
    result: Json = {}
    for base in (REFERENCE, CACHED):
        for name in (ENSEMBLE, FUSED):
            if base in measured and "4" in measured[base]:
                ratio = measured[name]["4"]["rate"] / measured[base]["4"]["rate"]
                result[f"{name} / {base}, requests a second at 4"] = round(ratio, 1)
    if "1" in measured[FUSED]:
        result["fused p50 inside Triton, ms"] = measured[FUSED]["1"]["p50"]
        gateway = measured[FUSED + GATEWAY]["1"]["p50"] - measured[FUSED]["1"]["p50"]
        result["gateway adds at p50, ms"] = round(gateway, 3)
    if len(sizes) > 1:
        smallest, *_, largest = sizes.values()
        result["p50 of the largest catalog / smallest"] = round(largest["p50"] / smallest["p50"], 2)
    if BEFORE in measured:
        for concurrency, after in measured[FUSED].items():
            before = measured[BEFORE][concurrency]
            result[f"before / now, p50 at {concurrency}"] = round(before["p50"] / after["p50"], 2)
    return result


def _show(console: Console, measured: dict[str, dict[str, Json]]) -> None:
    table = Table("", "at once", "requests/s", "p50 ms", "p99 ms", "inside Triton, mean ms")
    for name, by in measured.items():
        for concurrency, one in by.items():
            figures = (f"{one[key]:.2f}" for key in ("rate", "p50", "p99", "triton mean"))
            table.add_row(name, concurrency, *figures)
    console.print(table)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="recstack-bench-") as folder:
        yield Path(folder)


def main() -> None:
    """Run it; the last line is the result as JSON."""
    options = arguments()
    # Else servers would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(stderr=True, highlight=False)
    with _scratch() as folder:
        bench = Bench(options, folder, console)
        result = bench.side_by_side()
        sizes = bench.sizes() if options.sizes else {}
    result = {"summary": summary(result["measured"], sizes), **result, "sizes": sizes}
    _show(console, result["measured"])
    for what, value in result["summary"].items():
        console.print(f"{what}: [bold]{value}[/bold]")
    if options.plot:
        options.plot.write_bytes(plot.svg(result))
        console.print(f"plot: {options.plot}")
    print(json.dumps({"candidates": repository.BaselineSettings.candidates, **result}))


if __name__ == "__main__":
    main()
