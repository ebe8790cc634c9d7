"""ConfigMaps of the pod's namespace: the plan is watched, repositories are read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import ConfigMap

from recstack_gateway.errors import Unavailable

WATCH_SECONDS = 30
"""The server ends a watch after this long; a connection that died unnoticed is given up a little later."""


class ConfigMaps(Protocol):
    """What the gateway asks of the API server."""

    def watch(self, name: str) -> AsyncIterator[dict[str, str]]:
        """``data`` of one ConfigMap, now and after each change, until the server ends the watch.

        Raises:
            Unavailable: the API server does not answer, or the ConfigMap is not there.
        """
        ...

    async def binary(self, name: str) -> dict[str, str]:
        """``binaryData`` of one ConfigMap, base64.

        Raises:
            Unavailable: as ``watch``.
        """
        ...


class ClusterConfigMaps:
    """Through lightkube."""

    def __init__(self, client: AsyncClient, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def watch(self, name: str) -> AsyncIterator[dict[str, str]]:
        """As the protocol has it."""
        found = await self._get(name)
        yield found.data or {}
        metadata = found.metadata
        events = self._client.watch(
            ConfigMap,
            namespace=self._namespace,
            fields={"metadata.name": name},
            resource_version=metadata.resourceVersion if metadata else None,
            server_timeout=WATCH_SECONDS,
        )
        try:
            async with asyncio.timeout(1.5 * WATCH_SECONDS):
                async for kind, changed in events:
                    if kind == "DELETED":
                        raise Unavailable(f"ConfigMap {name} was deleted")
                    yield changed.data or {}
        except TimeoutError:
            return
        except (httpx2.HTTPError, OSError) as error:
            raise Unavailable(f"API server: {error!r}") from error

    async def binary(self, name: str) -> dict[str, str]:
        """As the protocol has it."""
        return (await self._get(name)).binaryData or {}

    async def _get(self, name: str) -> ConfigMap:
        try:
            return await self._client.get(ConfigMap, name, namespace=self._namespace)
        except ApiError as error:
            raise Unavailable(f"ConfigMap {name}: {error}") from error
        except (httpx2.HTTPError, OSError) as error:
            raise Unavailable(f"API server: {error!r}") from error
