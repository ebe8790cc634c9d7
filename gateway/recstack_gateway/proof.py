"""The proof before traffic: the model answers the package's probes as training did."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from recstack_gateway.errors import Refused

TOLERANCE = 1e-3
ROUNDS, REQUESTS, PAUSE = 2, 100, 0.002
"""How latency is measured."""


class Probe(BaseModel):
    """One request with its answer, from ``probe.json``."""

    user_id: int | None
    context: dict[str, int | float | str | None]
    candidates: int
    items: list[int]
    scores: list[float]

    def request(self) -> bytes:
        """The request as the model takes it."""
        return self.model_dump_json(include={"user_id", "context", "candidates"})[:-1].encode() + (
            f',"k":{self.candidates},"plain":true}}'.encode()
        )

    def typical(self, k: int) -> bytes:
        """The same person's request as callers make it, without chance and without what was seen."""
        return self.model_dump_json(include={"user_id", "context"})[:-1].encode() + (
            f',"k":{k},"plain":true}}'.encode()
        )


class _Item(BaseModel):
    id: int
    score: float


class _Reply(BaseModel):
    items: list[_Item]


_PROBES = TypeAdapter(list[Probe])


def read_probes(package: Path) -> list[Probe]:
    """Probes of a package.

    Raises:
        Refused: there are none.
    """
    try:
        probes = _PROBES.validate_json((package / "probe.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise Refused(f"probe.json is not a list of probes: {error}") from error
    if not probes:
        raise Refused("probe.json is empty: a version that cannot be proven is not served")
    return probes


async def measure(
    probes: Sequence[Probe], k: int, infer: Callable[[bytes], Awaitable[bytes]]
) -> dict[str, float]:
    """Latency of requests one by one, ms: p50 and p99 of the better of two rounds, as a busy neighbour is no
    fault of the model's.

    Every request leaves room for those of people, who may be served by another version meanwhile.
    """
    rounds = []
    for _ in range(ROUNDS):
        taken = []
        for number in range(REQUESTS):
            began = time.perf_counter()
            await infer(probes[number % len(probes)].typical(k))
            taken.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PAUSE)
        rounds.append(np.percentile(taken, [50, 99]))
    best = np.min(rounds, axis=0)
    return {"p50": float(f"{best[0]:.4g}"), "p99": float(f"{best[1]:.4g}")}


async def prove(probes: Sequence[Probe], infer: Callable[[bytes], Awaitable[bytes]]) -> None:
    """Ask all probes.

    Raises:
        Refused: an answer differs from training's.
    """
    for probe in probes:
        content = await infer(probe.request())
        try:
            found = {one.id: one.score for one in _Reply.model_validate_json(content).items}
        except ValidationError:
            raise Refused(f"the probe of user {probe.user_id} got {content[:200]!r}") from None
        _compare(probe, found)


def _compare(probe: Probe, found: dict[int, float]) -> None:
    missing = [item for item in probe.items if item not in found]
    if missing or len(found) != len(probe.items):
        raise Refused(
            f"the probe of user {probe.user_id} got other items than training: "
            f"{len(missing)} of {len(probe.items)} are missing, first {missing[:3]}"
        )
    scores = np.array([found[item] for item in probe.items])
    off = np.abs(scores - np.array(probe.scores)).max(initial=0)
    if not off <= TOLERANCE:
        raise Refused(
            f"the probe of user {probe.user_id} got scores that differ from training's by {off:.2g}"
        )
