"""The programs that make images: mmdebstrap for file systems, buildah for everything on top, no registry."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recstack_lab import image_debian, image_python, image_store
from recstack_lab.commands import run, succeeds
from recstack_lab.config import cache_root
from recstack_lab.image_plan import PREFIX, System

_EPOCH = "0"
# All that the source part of an image adds lies here.
APP = "/app"


class Buildah:
    """Images in a storage of their own below the cache; nothing of the user's own storage is touched."""

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self._root = root
        self._cache = cache or cache_root()

    def has(self, tag: str) -> bool:
        """Whether the storage holds this tag."""
        return succeeds([*self._buildah(), "inspect", "--type", "image", tag])

    def alias(self, tag: str, reference: str) -> None:
        """Give an image of the storage a second name."""
        run([*self._buildah(), "tag", tag, reference])

    def build_system(self, system: System, containerfile: str, tag: str) -> None:
        """Make a Debian file system and the image on it."""
        packages = (self._root / system.packages).read_text(encoding="utf-8").split()
        with self._scratch() as context:
            image_debian.make_rootfs(system.suite, packages, context / "rootfs.tar")
            self._build(context, containerfile, tag, {}, {})

    def build_environment(self, containerfile: str, lock: str, base: str, tag: str) -> None:
        """Install a lock into a Python environment on the base."""
        uv_cache = self._cache / "uv"
        uv_cache.mkdir(parents=True, exist_ok=True)
        with self._scratch() as context, self._scratch() as tools:
            _place(self._root, context, [self._root / lock])
            image_python.prepare(tools)
            mounts = {tools: "/run/build:ro", uv_cache: "/run/uv-cache:rw"}
            self._build(context, containerfile, tag, {"BASE": base}, mounts)

    def build_sources(
        self, containerfile: str, directories: tuple[str, ...], files: list[Path], dependencies: str, tag: str
    ) -> None:
        """Put source files on an environment."""
        with self._scratch() as context:
            for directory in directories:
                (context / directory).mkdir(parents=True, exist_ok=True)
            _place(self._root, context, files)
            self._build(context, containerfile, tag, {"DEPENDENCIES": dependencies}, {})

    def export(self, reference: str, target: Path) -> None:
        """Put an image into the store of `target`'s directory; `target` describes it."""
        with self._scratch() as directory:
            self._push(reference, directory)
            image_store.adopt(directory, reference, target)

    def export_sources(self, reference: str, dependencies: Path, target: Path) -> None:
        """Put an image into the store that already holds the environment it stands on.

        Only what `build_sources` added is read: a push would read and write gigabytes that have not changed.
        """
        config = run([*self._buildah(), "inspect", "--type", "image", "--format", "{{.Config}}", reference])
        with self._scratch() as context, self._scratch() as pushed:
            (context / "Containerfile").write_text(
                f"FROM {reference} AS whole\nFROM scratch\nCOPY --from=whole {APP} {APP}\n"
            )
            layer = f"{PREFIX}/layer:{context.name.strip('.')}"
            self._build(context, str(context / "Containerfile"), layer, {}, {})
            try:
                self._push(layer, pushed)
            finally:
                run([*self._buildah(), "rmi", layer])
            image_store.stack(pushed, config.encode(), dependencies, reference, target)

    def forget(self, prefix: str, keep: set[str]) -> None:
        """Remove the tags that begin with `prefix` and are not kept."""
        # Stages of builds, and builds that were cut off, leave containers that hold on to their images.
        run([*self._buildah(), "rm", "--all"])
        listed = run([*self._buildah(), "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        for tag in listed:
            if tag.startswith(prefix) and tag not in keep:
                run([*self._buildah(), "rmi", tag])

    def _push(self, tag: str, directory: Path) -> None:
        run([*self._buildah(), "push", "--quiet", "--disable-compression", tag, f"dir:{directory}"])

    def _buildah(self) -> list[str]:
        storage = self._cache / "buildah"
        return ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]

    def _build(
        self,
        context: Path,
        containerfile: str,
        tag: str,
        arguments: Mapping[str, str],
        mounts: Mapping[Path, str],
    ) -> None:
        # chroot isolation and the host's network: builds run inside containers and VMs that allow no more.
        words = [*self._buildah(), "build", "--quiet", "--isolation", "chroot", "--network", "host"]
        words += ["--pull-never", "--layers=false", "--timestamp", _EPOCH, "--format", "oci"]
        words += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        words += [word for source, place in mounts.items() for word in ("--volume", f"{source}:{place}")]
        run([*words, "--tag", tag, "--file", str(self._root / containerfile), str(context)])

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        # Below the cache: a file system of hundreds of megabytes does not belong into a small /tmp.
        parent = self._cache / "images"
        parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _place(root: Path, context: Path, files: list[Path]) -> None:
    """Copy files to the same relative place, readable for every user."""
    for file in files:
        target = context / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)
