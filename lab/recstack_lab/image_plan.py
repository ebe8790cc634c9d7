"""Which container images there are, and the hashes that decide whether one is built again.

An image has up to two parts: a heavy one (a Debian file system, or a Python environment keyed by its lock)
and a light one (the sources). A change of a source file leaves the heavy part's key as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recstack_lab.config import LabError

PREFIX = "localhost/recstack"
_IGNORED_SUFFIXES = {".pyc", ".pyo"}


@dataclass(frozen=True)
class System:
    """A Debian file system: the packages of `packages` (one a line) from the release `suite`."""

    suite: str
    packages: str


@dataclass(frozen=True)
class Environment:
    """A Python environment: a Containerfile and the lock it installs, relative to the repository."""

    containerfile: str
    lock: str


@dataclass(frozen=True)
class Image:
    """An image of this repository; paths are relative to its root, `sources` are package directories."""

    name: str
    containerfile: str
    heavy: System | Environment
    sources: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The name that pods use."""
        return f"{PREFIX}/{self.name}:dev"


BASE = Image("base", "images/base/Containerfile", System("bookworm", "images/base/packages.txt"))
IMAGES = (
    BASE,
    Image("valkey", "images/valkey/Containerfile", System("trixie", "images/valkey/packages.txt")),
    Image(
        "operator",
        "operator/Containerfile",
        Environment("operator/Containerfile.dependencies", "operator/requirements.lock"),
        (
            "operator/recstack_operator",
            "controllers/recstack_controllers",
            "crds/recstack_crds",
            "triton_templates/recstack_triton_templates",
        ),
    ),
    Image(
        "serving",
        "gateway/Containerfile",
        Environment("gateway/Containerfile.dependencies", "gateway/requirements.lock"),
        ("gateway/recstack_gateway", "triton_templates/recstack_triton_templates", "crds/recstack_crds"),
    ),
    Image(
        "training",
        "training_images/merlin/Containerfile",
        Environment(
            "training_images/merlin/Containerfile.dependencies", "training_images/merlin/requirements.lock"
        ),
        (
            "training_images/merlin/recstack_training",
            "crds/recstack_crds",
            "triton_templates/recstack_triton_templates",
        ),
    ),
    Image(
        "feast",
        "training_images/feast/Containerfile",
        Environment(
            "training_images/feast/Containerfile.dependencies", "training_images/feast/requirements.lock"
        ),
        ("training_images/feast/recstack_feast", "triton_templates/recstack_triton_templates"),
    ),
)


@dataclass(frozen=True)
class Keys:
    """Hashes (16 hex digits) of an image: of its heavy part and of the whole."""

    heavy: str
    image: str


def selected(only: Sequence[str]) -> tuple[Image, ...]:
    """The images that are asked for (none: all), the base first; LabError names an unknown one."""
    names = [image.name for image in IMAGES]
    for name in only:
        if name not in names:
            raise LabError(f"there is no image {name!r}; there are {', '.join(names)}")
    if not only:
        return IMAGES
    wanted = [image for image in IMAGES if image.name in only]
    if BASE not in wanted and any(isinstance(image.heavy, Environment) for image in wanted):
        wanted.insert(0, BASE)
    return tuple(wanted)


def source_files(root: Path, image: Image) -> list[Path]:
    """The files of an image's source directories, sorted, without byte code; an absent directory has none."""
    return [
        path
        for directory in image.sources
        for path in sorted((root / directory).rglob("*"))
        if path.is_file() and path.suffix not in _IGNORED_SUFFIXES and "__pycache__" not in path.parts
    ]


def keys(root: Path, image: Image) -> Keys:
    """The hashes of an image in the tree at `root`.

    Debian packages are those of the day of the build: their list is hashed, their versions are not.
    """
    if isinstance(image.heavy, System):
        # Both parts of a system image are one build: its Containerfile does nothing heavy.
        heavy = _digest(root, [root / image.containerfile, root / image.heavy.packages], image.heavy.suite)
        return Keys(heavy, heavy)
    inputs = [root / image.heavy.containerfile, root / image.heavy.lock]
    heavy = _digest(root, inputs, keys(root, BASE).image)
    return Keys(heavy, _digest(root, [root / image.containerfile, *source_files(root, image)], heavy))


def _digest(root: Path, files: Iterable[Path], salt: str) -> str:
    digest = hashlib.sha256(salt.encode())
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\0{file.relative_to(root).as_posix()}\0{content}".encode())
    return digest.hexdigest()[:16]
