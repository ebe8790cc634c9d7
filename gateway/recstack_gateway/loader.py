"""One version's way into this pod's Triton: package, repository, load, proof; and out of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from recstack_triton_templates.graph import split_name
from recstack_triton_templates.render import model_name

from recstack_gateway import artifacts, low_priority, memory, metrics, repository
from recstack_gateway.errors import Refused, Unavailable
from recstack_gateway.proof import measure, prove, read_probes
from recstack_gateway.queue import Queue
from recstack_gateway.settings import MEMORY_FILE
from recstack_gateway.triton import InferenceFailed, Triton
from recstack_gateway.version import Version

LOADS = 3
"""Loads after which a version that never answered is given up."""
SPARE_PACKAGES = 2
"""Packages kept on disk beyond the planned ones, for a rollback without pulling."""


class Loader:
    """Does what is asked of it, for one version at a time; which and when is the caller's.

    Args:
        triton: beside this gateway.
        read_repository: files of the ConfigMap named in a plan.
        models: folder shared with Triton.
        nvtabular: whether operators that are not compiled can be run here.
    """

    def __init__(
        self,
        triton: Triton,
        read_repository: Callable[[str], Awaitable[dict[str, str]]],
        models: Path,
        *,
        nvtabular: bool = False,
    ) -> None:
        self._triton, self._read_repository = triton, read_repository
        self._nvtabular = nvtabular
        self._packages, self._repository = models / "packages", models / "repository"
        self._memory = models / MEMORY_FILE

    def folder(self, version: Version) -> Path:
        """Where its package lies on disk."""
        return self._packages / version.planned.digest.removeprefix("sha256:")

    async def fetch(self, version: Version) -> None:
        """Package and repository on disk, and what they say of the version.

        Raises:
            Refused: the package is not whole, or cannot be proven.
            Unavailable: store or API server do not answer.
        """
        planned = version.planned
        pull = partial(artifacts.pull, planned.artifacts, planned.digest, self._packages)
        folder = await asyncio.to_thread(low_priority.run, pull)
        if artifacts.needs_nvtabular(folder) and not self._nvtabular:
            raise Unavailable("it needs NVTabular, which this pod has not; one that has it takes its place")
        version.probes = read_probes(folder)
        if not repository.written(self._repository, planned.name, planned.repo):
            files = repository.decode(await self._read_repository(planned.repo))
            await asyncio.to_thread(repository.write, self._repository, planned.name, planned.repo, files)
            version.reload = True
        repository.link(self._repository, planned.name, folder)
        version.queue = Queue(repository.settings(self._repository, planned.name))

    async def shortage(self, version: Version, held: Collection[Version]) -> tuple[str, list[Version]]:
        """Why a version that is to come does not fit beside the loaded ones of ``held``, and which those are.

        Empty: it does, or it is loaded.

        Raises:
            Unavailable: Triton is not there.
        """
        loaded = await self._triton.loaded()
        if version.model in loaded:
            return "", []
        others = [one for one in held if one is not version and one.model in loaded]
        sizes: Mapping[str, int] = {one.planned.name: artifacts.size(self.folder(one)) for one in others}
        found = memory.read(self._memory)
        return memory.shortage(found, artifacts.size(self.folder(version)), sizes), others

    async def load(self, version: Version) -> None:
        """Load it, unless it is loaded and nothing is known against that.

        Raises:
            Refused: Triton cannot load it.
            Unavailable: Triton is not there.
        """
        loaded = await self._triton.loaded()
        if version.model in loaded and not version.reload:
            return  # this process was restarted, or Triton only was away; the proof decides
        await self._unload(_models(loaded, version.planned.name))
        await self._triton.load(version.model)  # Triton loads an ensemble's parts with it, side by side
        version.reload, version.loads = False, version.loads + 1

    async def prove(self, version: Version, measured: int | None) -> None:
        """Ask it the package's probes.

        Args:
            version: is loaded.
            measured: how many items its latency is measured with, if it was not yet; None: it is not.

        Raises:
            Refused: it answers otherwise than in training, or never.
            Unavailable: it does not answer now.
        """

        async def infer(content: bytes) -> bytes:
            return await self._triton.infer(version.model, content)

        try:
            await prove(version.probes, infer)
            if version.latency is None and measured is not None:
                version.latency = await measure(version.probes, measured, infer)
        except InferenceFailed as error:
            if version.loads >= LOADS and not version.proven_before:
                raise Refused(f"it does not answer its probes: {error}") from error
            version.reload = True
            raise Unavailable(str(error)) from error
        metrics.LOADS.inc(version.loads)
        version.loads = version.late = 0
        version.doubted = False

    async def unload(self, version: Version) -> None:
        """Unload it and wait until it is gone.

        Raises:
            Unavailable: Triton is not there.
        """
        await self._unload(_models(await self._triton.loaded(), version.planned.name) | {version.model})

    async def unload_if_there(self, version: Version) -> None:
        """The same where Triton is; nothing is loaded in one that is not there."""
        with suppress(Unavailable):
            await self._unload(_models(await self._triton.loaded(), version.planned.name))

    async def sweep(self, held: Collection[str]) -> None:
        """Unload what an earlier gateway process left in this Triton, and is not among ``held``.

        Raises:
            Unavailable: Triton is not there.
        """
        loaded = await self._triton.loaded()
        await self._unload({model for model in loaded if split_name(model)[1] not in held})

    def keep(self, needed: set[str]) -> None:
        """Delete packages but those of these digests and the last spare ones."""
        artifacts.keep_last(self._packages, needed, SPARE_PACKAGES)

    async def _unload(self, models: set[str]) -> None:
        """Entries first: an ensemble goes down with any of its parts, not the other way round."""
        for model in sorted(models, key=lambda one: (one != model_name(split_name(one)[1]), one)):
            await self._triton.unload(model)


def _models(loaded: set[str], version: str) -> set[str]:
    """What is loaded of a version: one model, or an ensemble and its parts."""
    return {model for model in loaded if split_name(model)[1] == version}
