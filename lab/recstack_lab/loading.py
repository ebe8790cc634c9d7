"""Bringing images into a node: only what it does not have yet is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recstack_lab import binaries, image_store, node
from recstack_lab.commands import run
from recstack_lab.config import LabError
from recstack_lab.console import step
from recstack_lab.image_plan import PREFIX
from recstack_lab.record import Record
from recstack_lab.render import CONTAINERD_SOCKET, PAUSE_IMAGE

_CTR = ["ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io"]
_TIMEOUT = 600.0

COREDNS_IMAGE = f"{PREFIX}/coredns:dev"
S3_IMAGE = f"{PREFIX}/versitygw:dev"
# image -> program in it, and the OCI image's configuration
_PROGRAMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    PAUSE_IMAGE: ("pause", {"User": "65535:65535", "Entrypoint": ["/pause"]}),
    COREDNS_IMAGE: ("coredns", {"Entrypoint": ["/coredns"], "WorkingDir": "/"}),
    S3_IMAGE: ("versitygw", {"User": "65532:65532", "Entrypoint": ["/versitygw"], "WorkingDir": "/"}),
}


class Node:
    """The image store of a running node."""

    def __init__(self, state: Record) -> None:
        """Take the node's record."""
        self._state = state

    def answers(self) -> bool:
        """Whether containerd takes calls, with its CRI plugin."""
        try:
            plugins = self._ctr("plugins", "ls", "id==cri")
        except LabError:
            return False
        return " ok" in plugins

    def images(self) -> dict[str, str]:
        """Name and digest of every image in the node."""
        lines = self._ctr("images", "ls").splitlines()[1:]
        return {words[0]: words[2] for words in map(str.split, lines)}

    def load(self, stored: Path) -> None:
        """Bring an image of the store in, unless the node has exactly this one under its name."""
        image = image_store.read(stored)
        if self.images().get(image.reference) == image.digest:
            return
        with step(f"loading {image.reference}"):
            present = set(self._ctr("content", "ls", "-q").split())
            refused = self._import(stored, present)
            if refused and present:
                # containerd collects what no image names any more in its own time, and so what was there a
                # moment ago may be gone: then all of it is sent.
                refused = self._import(stored, set())
            if refused:
                raise LabError(f"the node refused {image.reference}: {refused[-1000:]}")
            self._forget_replaced()

    def _import(self, stored: Path, present: set[str]) -> str:
        """Send the blobs that are not ``present``; what the node says when it refuses, else nothing."""
        argv = node.inside(self._state, [*_CTR, "images", "import", "-"])
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as importer:
            assert importer.stdin is not None
            assert importer.stdout is not None
            try:
                image_store.write_archive(stored, present, importer.stdin)
                importer.stdin.close()
            except BrokenPipeError:
                pass  # what it said before it left is the better message
            said = importer.stdout.read().decode(errors="replace").strip()
        return (said or f"it ended with {importer.returncode}") if importer.returncode else ""

    def load_archive(self, archive: Path) -> list[str]:
        """Import an OCI or Docker archive; the names of its images."""
        if not archive.is_file():
            raise LabError(f"there is no file {archive}")
        try:
            said = self._ctr("images", "import", str(archive.resolve()))
        except LabError as error:
            raise LabError(f"{archive} cannot be loaded, is it an OCI or Docker archive? {error}") from error
        return [line.split()[1] for line in said.splitlines() if line.startswith("unpacking")]

    def _forget_replaced(self) -> None:
        """Remove the second names (by digest) of images whose name another has now, and so their layers."""
        found = self.images()
        named = {digest for name, digest in found.items() if not name.startswith("sha256:")}
        replaced = [name for name, digest in found.items() if digest not in named]
        if replaced:
            self._ctr("images", "rm", "--sync", *replaced)

    def _ctr(self, *words: str) -> str:
        return run(node.inside(self._state, [*_CTR, *words]), timeout=_TIMEOUT)


def program_image(reference: str, directory: Path) -> Path:
    """The stored image of one of the lab's own programs, made if the program has changed."""
    name, config = _PROGRAMS[reference]
    binary = binaries.binary(name)
    # The directory of a built program is named by the content of its module.
    target = directory / f"{name}-{binary.parent.name[:16]}.json"
    if not image_store.whole(target):
        image_store.program(binary, config, reference, target)
        for older in directory.glob(f"{name}-*.json"):
            if older != target:
                older.unlink()
        image_store.sweep(directory)
    return target
