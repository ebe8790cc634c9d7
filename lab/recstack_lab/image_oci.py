"""One OCI archive per image, uncompressed: a node imports it faster than it would decompress it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


def write_archive(directory: Path, reference: str, target: Path) -> None:
    """Write the OCI tar of the image in `directory`; the file appears only when it is whole.

    `directory` is what a push to a `dir:` destination leaves: manifest.json, and blobs named by hex digest.
    Such a push keeps layers uncompressed, one to an OCI layout always compresses them.
    """
    manifest = (directory / "manifest.json").read_bytes()
    content = json.loads(manifest)
    entry = {
        "mediaType": content["mediaType"],
        "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
        "size": len(manifest),
        # containerd takes the short name as a tag only; its own annotation makes it keep the whole one.
        "annotations": {_NAME: reference.rpartition(":")[2], _CONTAINERD_NAME: reference},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    blobs = [content["config"]["digest"], *(layer["digest"] for layer in content["layers"])]
    partial = target.with_name(target.name + ".partial")
    try:
        with tarfile.open(partial, "w") as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(archive, "index.json", index)
            _add(archive, _place(entry["digest"]), manifest)
            for digest in dict.fromkeys(blobs):
                path = directory / digest.removeprefix("sha256:")
                info = _info(_place(digest), path.stat().st_size)
                with path.open("rb") as stream:
                    archive.addfile(info, stream)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_info(name, len(content)), io.BytesIO(content))
