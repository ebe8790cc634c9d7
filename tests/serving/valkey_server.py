"""A real Valkey for tests: the machine's, else that of the Debian release that its image is made from."""

import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from types import TracebackType

from recstack_lab.image_debian import make_rootfs

CACHE = Path(os.environ.get("CACHE", Path.home() / ".cache" / "recstack"))
SUITE = "trixie"
MODULE = os.environ.get("RECSTACK_VALKEY_BLOOM")
"""A Bloom module for the servers of tests that do not choose."""


def _program() -> list[str]:
    found = shutil.which("valkey-server")
    if found:
        return [found]
    root = CACHE / f"valkey-{SUITE}"
    if not root.is_dir():
        _unpack(root)
    libraries = [str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/lib")]
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", ":".join(libraries), str(root / "usr/bin/valkey-server")]


def _unpack(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        archive, unpacked = Path(scratch) / "rootfs.tar", Path(scratch) / "rootfs"
        make_rootfs(SUITE, ["valkey-server"], archive)
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar.getmembers() if m.name.startswith(("./usr/lib", "./usr/bin"))]
            tar.extractall(unpacked, wanted, filter="tar")
        unpacked.rename(root)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class ValkeyServer:
    """One server on a port of its own; ``stop`` and ``start`` as often as wanted. ``module``: one to load."""

    def __init__(self, folder: Path, module: str | None = None) -> None:
        self._folder, self.port = folder, free_port()
        self._module = ["--loadmodule", module] if module else []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        words += self._module
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen([*_program(), *words], stdout=log, stderr=log)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError((self._folder / "valkey.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "ValkeyServer":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stop()
