"""What the worker knows of items: raw values of a few columns, of every planned version."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recstack_gateway import artifacts
from recstack_gateway.catalog import Decoder, Raw
from recstack_gateway.errors import Refused, Unavailable
from recstack_gateway.plan import Plan, PlannedVersion

_LOG = logging.getLogger(__name__)
PARTS = ("items.npz", "transforms.json", "vocab.npz")
RETRY_SECONDS = 2.0


class Items:
    """Items of one package. ``folder``: at least ``PARTS`` and the manifest of a verified package."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        compiled: Mapping[str, Any] = json.loads((folder / "transforms.json").read_bytes())
        with (
            np.load(folder / "vocab.npz", allow_pickle=False) as vocabularies,
            np.load(folder / "items.npz", allow_pickle=False) as table,
        ):
            self._ids = table["__id__"]
            self._values = {
                compiled[name]["column"]: Decoder(compiled[name], table[name], vocabularies)
                for name in manifest["features"]["item"]
                if [op["op"] for op in compiled[name]["ops"]] == ["Categorify"]
            }

    def get(self, item: int) -> dict[str, Raw] | None:
        """Value by column, of the columns of one Categorify; nulls and unknown values are left out."""
        row = int(np.searchsorted(self._ids, item))
        if row == len(self._ids) or self._ids[row] != item:
            return None
        found = {column: decode(row) for column, decode in self._values.items()}
        return {column: value for column, value in found.items() if value is not None}


class Catalogs:
    """Items of all planned versions, the live one's first; a candidate's are there before it is live."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._items: dict[str, Items] = {}
        self._order: Sequence[str] = ()
        self.plan: Plan | None = None
        self.ready = asyncio.Event()
        """Set once the items of a live version are there."""
        self._changed = asyncio.Event()

    def take(self, plan: Plan) -> None:
        """Begin to do what ``plan`` says."""
        self.plan = plan
        self._changed.set()

    def get(self, item: int) -> dict[str, Raw] | None:
        """Raw values of an item; None: no planned version has it."""
        for digest in self._order:
            found = self._items[digest].get(item)
            if found is not None:
                return found
        return None

    async def run(self) -> None:
        """Keep up with the plan, until cancelled."""
        while True:
            self._changed.clear()
            whole = await self._follow()
            try:
                async with asyncio.timeout(None if whole else RETRY_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _follow(self) -> bool:
        plan = self.plan
        if plan is None:
            return True
        whole = True
        ordered = sorted(plan.versions, key=lambda one: one.name != plan.live)
        for one in ordered:
            if one.digest not in self._items:
                whole = await self._load(one) and whole
        self._order = [one.digest for one in ordered if one.digest in self._items]
        self._items = {digest: self._items[digest] for digest in self._order}
        artifacts.keep_last(self._packages, set(self._order), 0)
        if plan.live is not None and self._order:
            self.ready.set()
        return whole

    async def _load(self, version: PlannedVersion) -> bool:
        """Whether nothing is left to do: a package that is refused stays so."""
        try:
            folder = await asyncio.to_thread(
                artifacts.pull, version.artifacts, version.digest, self._packages, PARTS
            )
            self._items[version.digest] = await asyncio.to_thread(Items, folder)
        except Unavailable as error:
            _LOG.warning("items of %s: %s", version.name, error)
            return False
        except (Refused, ValueError, KeyError, OSError) as error:
            _LOG.error("items of %s cannot be read: %s", version.name, error)
        return True
