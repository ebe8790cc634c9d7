"""Open-loop load from inside the cluster: requests leave at their times whether or not others were answered.

Runs in a pod of the serving image, until the file ``/tmp/stop`` is there. Arguments: URL of the gateway,
requests a second, users. Writes ``/tmp/load.json``: {"began": seconds since 1970, "requests": [[at, ms,
outcome, version]…]}, ``at`` in seconds since ``began`` when the request was due (so that a wait counts as
latency, and no slow answer leaves others out: coordinated omission), outcome 0 well, 1 failed, 2 mixed,
3 broken: it was sent, and its connection ended without an answer. Every answer is compared with the first
that the same version gave the same user: one made of two versions differs.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

WELL, FAILED, MIXED, BROKEN = 0, 1, 2, 3
CONNECTIONS = 64
CONNECT_SECONDS = 1.0
"""An address whose pod is gone answers nothing at all; another one does."""
K = 20
TOLERANCE = 1e-3
"""Of a score; a batch of another size may round otherwise, and swap neighbours that are that close."""


class Load:
    """What was asked and answered."""

    def __init__(self, url: str, rate: float, users: int) -> None:
        self._url, self._rate, self._users = f"{url}/v1/recommend", rate, users
        self._first: dict[tuple[str, int], dict[int, float]] = {}
        self.requests: list[tuple[float, float, int, str]] = []
        self.errors: dict[str, int] = {}
        self.began = time.time()

    async def run(self, stop: Path) -> None:
        """Ask until ``stop`` exists."""
        lot, start = random.Random(7), time.perf_counter()
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=5)
        timeout = aiohttp.ClientTimeout(total=10, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            due, asked = 0.0, set[asyncio.Task[None]]()
            while not stop.exists():  # noqa: ASYNC240 — a look at a memory file system
                due += lot.expovariate(self._rate)
                await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
                task = asyncio.create_task(self._ask(session, start, due, lot.randrange(self._users)))
                asked.add(task)
                task.add_done_callback(asked.discard)
            await asyncio.gather(*asked)

    async def _ask(self, session: aiohttp.ClientSession, start: float, due: float, user: int) -> None:
        body = {"user_id": user + 1, "k": K, "context": {"timestamp": 1_704_715_200, "device_type": 0}}
        outcome, version = FAILED, ""
        try:
            async with await self._send(session, body) as answer:
                reply = await answer.json()
                if answer.status == 200:
                    version = reply["version"]
                    outcome = WELL if self._whole(version, user, reply) else MIXED
                else:
                    self._error(f"HTTP {answer.status}: {reply.get('detail', '')}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
                outcome = BROKEN
            self._error(type(error).__name__)
        self.requests.append((due, (time.perf_counter() - start - due) * 1000, outcome, version))

    async def _send(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """Once more when no connection came about: nothing was asked then, and any proxy would try again."""
        for _ in range(5):
            try:
                return await session.post(self._url, json=body)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                await asyncio.sleep(0.05)
        return await session.post(self._url, json=body)

    def _whole(self, version: str, user: int, reply: dict[str, Any]) -> bool:
        found = {item["id"]: item["score"] for item in reply["items"]}
        first = self._first.setdefault((version, user), found)
        shared = found.keys() & first.keys()
        return len(shared) >= K - 1 and all(abs(found[one] - first[one]) < TOLERANCE for one in shared)

    def _error(self, text: str) -> None:
        self.errors[text] = self.errors.get(text, 0) + 1

    def alike(self) -> int:
        """Users whose answers of two versions could not be told apart, so that mixing would not be seen."""
        by_user: dict[int, list[dict[int, float]]] = {}
        for (_, user), found in self._first.items():
            by_user.setdefault(user, []).append(found)
        return sum(
            any(one == other for place, one in enumerate(found) for other in found[:place])
            for found in by_user.values()
        )


def main() -> None:
    """Ask, then write."""
    url, rate, users = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    load = Load(url, rate, users)
    asyncio.run(load.run(Path("/tmp/stop")))
    value = {
        "began": load.began,
        "requests": [(round(at, 4), round(ms, 2), outcome, v) for at, ms, outcome, v in load.requests],
        "errors": load.errors,
        "alike": load.alike(),
    }
    Path("/tmp/load.json.part").write_text(json.dumps(value))
    Path("/tmp/load.json.part").rename("/tmp/load.json")


if __name__ == "__main__":
    main()
