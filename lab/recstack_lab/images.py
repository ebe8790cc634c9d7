"""Builds the container images of this repository without a registry and keeps them by content."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from recstack_lab import image_store
from recstack_lab.config import REPOSITORY_ROOT, cache_root
from recstack_lab.console import err, step
from recstack_lab.image_builder import Buildah
from recstack_lab.image_plan import BASE, PREFIX, Image, Keys, System, keys, selected, source_files


class ImageBuilder(Protocol):
    """What making images needs; tags are whole references, paths are relative to the repository."""

    def has(self, tag: str) -> bool:
        """Whether this tag was built before."""

    def alias(self, tag: str, reference: str) -> None:
        """Give a built image a second name."""

    def build_system(self, system: System, containerfile: str, tag: str) -> None:
        """Make a Debian file system and the image on it."""

    def build_environment(self, containerfile: str, lock: str, base: str, tag: str) -> None:
        """Install a lock into a Python environment on the base."""

    def build_sources(
        self, containerfile: str, directories: tuple[str, ...], files: list[Path], dependencies: str, tag: str
    ) -> None:
        """Put source files on an environment."""

    def export(self, reference: str, target: Path) -> None:
        """Put an image into the store of `target`'s directory; `target` describes it."""

    def export_sources(self, reference: str, dependencies: Path, target: Path) -> None:
        """The same for an image with sources, whose environment is in the store as `dependencies`."""

    def forget(self, prefix: str, keep: set[str]) -> None:
        """Remove tags with this prefix that are not kept."""


def build(load: Callable[[Path], None] | None = None, only: Sequence[str] = ()) -> None:
    """Bring the images up to date with the tree and hand the file that describes each to `load`.

    `only` names images (the base is built with whatever stands on it); LabError says what failed.
    """
    root = cache_root()
    (root / "images").mkdir(parents=True, exist_ok=True)
    # One build at a time: two would install the same environment twice and share one storage.
    with (root / "images" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build_in(REPOSITORY_ROOT, root / "images", Buildah(REPOSITORY_ROOT), load, only)


def build_in(
    tree: Path,
    store: Path,
    builder: ImageBuilder,
    load: Callable[[Path], None] | None = None,
    only: Sequence[str] = (),
) -> None:
    """Build the images of the tree at `tree` and put them into the directory `store`."""
    base_tag = _tag(BASE, keys(tree, BASE).image)
    for image in selected(only):
        image_keys = keys(tree, image)
        stored = store / f"{image.name}-{image_keys.image}.json"
        if image_store.whole(stored) and (image is not BASE or builder.has(base_tag)):
            err.print(f"[dim]·[/dim] image {image.name} is up to date ({image_keys.image})")
        else:
            _build_one(tree, image, image_keys, base_tag, builder)
            with step(f"storing image {image.name}"):
                _export(image, image_keys, stored, builder)
            _forget_older(image, stored, image_keys, builder)
        # The base runs in no pod.
        if load is not None and image is not BASE:
            load(stored)


def _build_one(tree: Path, image: Image, image_keys: Keys, base_tag: str, builder: ImageBuilder) -> None:
    tag = _tag(image, image_keys.image)
    if not builder.has(tag):
        if isinstance(image.heavy, System):
            with step(f"building image {image.name} from Debian {image.heavy.suite}"):
                builder.build_system(image.heavy, image.containerfile, tag)
        else:
            environment = _environment_tag(image, image_keys)
            if not builder.has(environment):
                with step(f"installing {image.heavy.lock} for image {image.name}"):
                    builder.build_environment(
                        image.heavy.containerfile, image.heavy.lock, base_tag, environment
                    )
            with step(f"building image {image.name}"):
                files = source_files(tree, image)
                builder.build_sources(image.containerfile, image.sources, files, environment, tag)
    builder.alias(tag, image.reference)


def _export(image: Image, image_keys: Keys, stored: Path, builder: ImageBuilder) -> None:
    if isinstance(image.heavy, System):
        builder.export(image.reference, stored)
        return
    dependencies = _stored_environment(image, image_keys, stored)
    if not image_store.whole(dependencies):
        builder.export(_environment_tag(image, image_keys), dependencies)
    builder.export_sources(image.reference, dependencies, stored)


def _stored_environment(image: Image, image_keys: Keys, stored: Path) -> Path:
    return stored.with_name(f"{image.name}-dependencies-{image_keys.heavy}.json")


def _forget_older(image: Image, stored: Path, image_keys: Keys, builder: ImageBuilder) -> None:
    for older in stored.parent.glob(f"{image.name}-*.json"):
        if older not in {stored, _stored_environment(image, image_keys, stored)}:
            older.unlink()
    image_store.sweep(stored.parent)
    builder.forget(f"{PREFIX}/{image.name}:", {_tag(image, image_keys.image), image.reference})
    builder.forget(f"{PREFIX}/{image.name}-dependencies:", {_environment_tag(image, image_keys)})


def _environment_tag(image: Image, image_keys: Keys) -> str:
    return f"{PREFIX}/{image.name}-dependencies:{image_keys.heavy}"


def _tag(image: Image, key: str) -> str:
    return f"{PREFIX}/{image.name}:{key}"
