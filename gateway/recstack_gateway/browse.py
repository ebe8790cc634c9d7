"""Routes for people who look around: what a request may say, and the catalog. Read from the live package."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from recstack_gateway import problems
from recstack_gateway.catalog import Catalog, ContextColumn, Ids, Item
from recstack_gateway.problems import Problem
from recstack_gateway.versions import Versions

PAGE = 24
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class SchemaReply(BaseModel):
    """Of the live version. ``seen_filter``: whether events of a person take their items out."""

    version: str
    top_k: int
    seen_filter: bool
    users: Ids
    items: Ids
    context: list[ContextColumn]


class ItemsReply(BaseModel):
    """One page of the catalog."""

    version: str
    items: list[Item]
    next: int | None = Field(description="`after` of the next page; null: this is the last.")


class Browse:
    """The routes. ``events``: whether the pod has a Valkey, without which events mark nothing."""

    def __init__(self, versions: Versions, events: bool) -> None:
        self._versions, self._events = versions, events
        self._read: tuple[Path, Catalog] | None = None
        self._reading = asyncio.Lock()

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        for path, endpoint in (("/v1/schema", self.schema), ("/v1/items", self.items)):
            app.add_api_route(path, endpoint, responses={"default": problems.DESCRIPTION})

    async def schema(self) -> SchemaReply:
        """Ids and context columns that the live version knows."""
        name, catalog = await self._live()
        plan = self._versions.plan
        assert plan is not None  # there is no live version without
        return SchemaReply(
            version=name,
            top_k=plan.serving.top_k,
            seen_filter=self._events and plan.serving.seen_filter.enabled,
            users=catalog.users,
            items=catalog.items,
            context=catalog.context,
        )

    async def items(
        self,
        query: Annotated[
            str, Query(max_length=200, description="Words of the title, or an id; empty: all.")
        ] = "",
        after: Annotated[Int64 | None, Query(description="Only greater ids.")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = PAGE,
        id: Annotated[
            list[Int64] | None,
            Query(max_length=100, description="These items, in this order; the rest does not count then."),
        ] = None,
    ) -> ItemsReply:
        """The catalog of the live version, by rising id."""
        name, catalog = await self._live()
        if id is not None:
            return ItemsReply(version=name, items=catalog.get(id), next=None)
        found, more = await asyncio.to_thread(catalog.find, query, after, limit)
        return ItemsReply(version=name, items=found, next=found[-1].id if more else None)

    async def _live(self) -> tuple[str, Catalog]:
        """Name and catalog of the live version, read when somebody first asks: serving needs none of it."""
        version = self._versions.route
        if version is None:
            raise Problem(503, "no version is live in this pod yet", {"Retry-After": "2"})
        folder = self._versions.folder(version)
        async with self._reading:
            if self._read is None or self._read[0] != folder:
                try:
                    self._read = folder, await asyncio.to_thread(Catalog, folder)
                except (OSError, ValueError, KeyError) as error:
                    detail = f"the package of {version.planned.name} cannot be read now: {error!r}"
                    raise Problem(503, detail, {"Retry-After": "2"}) from error
            return version.planned.name, self._read[1]
