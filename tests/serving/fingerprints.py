"""Whether each reply is wholly of the version that it names.

The two packages differ in every part (tables, query tower, index, ranker), so that scores are a fingerprint
of all stages: a request that went through parts of both would have scores that neither gives.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from tests.serving.sample_package import NOW, SamplePackage

USERS = range(1, 51)
CONTEXT = {"device_type": 1, "timestamp": NOW}
K = 10


@dataclass
class Fingerprints:
    """``packages``: by the name that they are served under. Replies are checked as they come."""

    packages: dict[str, SamplePackage]
    answered: Counter[str] = field(default_factory=Counter)
    versions: dict[int, list[str]] = field(default_factory=dict)
    """By user: versions that answered, each change of it."""
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    _expected: dict[tuple[str, int], tuple[list[int], list[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, package in self.packages.items():
            for user in USERS:
                items, scores = package.expected(user, CONTEXT, 300)
                self._expected[name, user] = items[:K], scores[:K]

    def check(self, user: int, reply: dict[str, Any]) -> None:
        """Count one reply."""
        version = reply["version"]
        items, scores = self._expected[version, user]
        found = [one["id"] for one in reply["items"]]
        if found != items or np.abs(np.array([one["score"] for one in reply["items"]]) - scores).max() > 1e-4:
            self.mixed.append(f"user {user}, version {version}: {found}")
        self.answered[version] += 1
        seen = self.versions.setdefault(user, [])
        if not seen or seen[-1] != version:
            seen.append(version)

    async def ask(self, url: str, requests: int, callers: int = 8, batch: int = 1) -> None:
        """So many requests in all, single ones or in batches, by callers that ask without pause."""
        left = iter(range(0, requests, batch))
        limits = httpx.Limits(max_connections=callers)
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, limits=limits) as client:
            await asyncio.gather(*(self._caller(client, left, batch) for _ in range(callers)))

    async def _caller(self, client: httpx.AsyncClient, left: Any, batch: int) -> None:
        for number in left:
            users = [USERS[(number + more) % len(USERS)] for more in range(batch)]
            bodies = [{"user_id": user, "k": K, "context": CONTEXT} for user in users]
            start = time.perf_counter()
            if batch == 1:
                response = await client.post("/v1/recommend", json=bodies[0])
            else:
                response = await client.post("/v1/recommend:batch", json={"requests": bodies})
            self.seconds.append(time.perf_counter() - start)
            if response.status_code != 200:
                self.failed.append(response.text)
                continue
            value = response.json()
            for user, reply in zip(users, [value] if batch == 1 else value["replies"], strict=True):
                self.check(user, reply)
