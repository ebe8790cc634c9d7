"""Built images on disk: layers once each, by digest, and one small file per image that names its parts.

Layers are kept uncompressed, because a node imports them faster than it would decompress them, and apart from
each other, because a node is given only those it does not have: after a change of a source file this is one
layer of kilobytes instead of gigabytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from recstack_lab.config import LabError

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_BLOBS = "blobs"
# Bytes in one write to the pipe; larger ones cost more in copies than they save in calls.
_BUFFER = 1 << 16


@dataclass(frozen=True)
class Stored:
    """An image of the store: its name, its manifest (size in bytes) and the digests of all its parts."""

    reference: str
    media_type: str
    digest: str
    size: int
    parts: tuple[str, ...]


def adopt(directory: Path, reference: str, target: Path) -> Stored:
    """Move an image into the store of `target`'s directory; `target`, written last, then describes it.

    `directory` is what a push to a `dir:` destination leaves: manifest.json, and blobs named by hex digest.
    Such a push keeps layers uncompressed, one to an OCI layout always compresses them.
    """
    manifest = (directory / "manifest.json").read_bytes()
    content = json.loads(manifest)
    blobs = [content["config"]["digest"], *(layer["digest"] for layer in content["layers"])]
    for digest in blobs:
        _move(directory, target.parent, digest)
    return _describe(manifest, content["mediaType"], blobs, reference, target)


def stack(directory: Path, config: bytes, below: Path, reference: str, target: Path) -> Stored:
    """Store the image that has the layers of `below`, an image of the store, and on top those in `directory`.

    `config` is the OCI configuration of the whole image. LabError if the image does not stand on `below`.
    """
    base = json.loads(_place(below.parent, read(below).digest).read_bytes())
    pushed = json.loads((directory / "manifest.json").read_bytes())
    image = json.loads(config)
    lower, upper = base["layers"], pushed["layers"]
    # Layers are not compressed, so that the digest of a layer is that of its content.
    if image["rootfs"]["diff_ids"][: -len(upper)] != [layer["digest"] for layer in lower]:
        raise LabError(f"{reference} was not built on {below.stem}: build it again")
    for layer in upper:
        _move(directory, target.parent, layer["digest"])
    image["rootfs"]["diff_ids"] = [layer["digest"] for layer in (*lower, *upper)]
    encoded = json.dumps(image).encode()
    digest = _keep(target.parent, encoded)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": digest, "size": len(encoded)},
        "layers": [*lower, *upper],
    }
    blobs = [digest, *image["rootfs"]["diff_ids"]]
    return _describe(json.dumps(manifest).encode(), _MANIFEST, blobs, reference, target)


def program(binary: Path, config: dict[str, Any], reference: str, target: Path) -> Stored:
    """Store an image of one static program, as /<its name>; `config` is the OCI image's (Entrypoint, …)."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        content = binary.read_bytes()
        info = tarfile.TarInfo(binary.name)
        info.size, info.mode = len(content), 0o755
        archive.addfile(info, io.BytesIO(content))
    layer_digest = _keep(target.parent, layer.getvalue())
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": "1970-01-01T00:00:00Z", "comment": f"only {binary.name}"}],
    }
    encoded = json.dumps(image).encode()
    config_digest = _keep(target.parent, encoded)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config_digest, "size": len(encoded)},
        "layers": [{"mediaType": _LAYER, "digest": layer_digest, "size": len(layer.getvalue())}],
    }
    return _describe(
        json.dumps(manifest).encode(), _MANIFEST, [config_digest, layer_digest], reference, target
    )


def read(target: Path) -> Stored:
    """What `adopt` or `program` wrote."""
    data = json.loads(target.read_text(encoding="utf-8"))
    return Stored(**(data | {"parts": tuple(data["parts"])}))


def whole(target: Path) -> bool:
    """Whether the image is described and none of its parts is missing."""
    return target.is_file() and all(_place(target.parent, each).exists() for each in read(target).parts)


def write_archive(target: Path, present: Collection[str], out: IO[bytes]) -> None:
    """Write the image as an OCI archive without the parts whose digests are `present` where it goes."""
    image = read(target)
    entry = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": image.size,
        # containerd takes the short name as a tag only; its own annotation makes it keep the whole one.
        "annotations": {_NAME: image.reference.rpartition(":")[2], _CONTAINERD_NAME: image.reference},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    with tarfile.open(fileobj=out, mode="w|", bufsize=_BUFFER) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", index)
        for digest in dict.fromkeys(image.parts):
            if digest not in present:
                path = _place(target.parent, digest)
                with path.open("rb") as stream:
                    archive.addfile(_info(_archived(digest), path.stat().st_size), stream)


def sweep(directory: Path) -> None:
    """Remove the blobs that no image file in the directory names."""
    named = {part for file in directory.glob("*.json") for part in read(file).parts}
    for blob in (directory / _BLOBS).glob("*"):
        if f"sha256:{blob.name}" not in named:
            blob.unlink()


def _describe(manifest: bytes, media_type: str, blobs: Iterable[str], reference: str, target: Path) -> Stored:
    digest = _keep(target.parent, manifest)
    stored = Stored(reference, media_type, digest, len(manifest), (digest, *blobs))
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(stored), indent=2), encoding="utf-8")
    fresh.replace(target)
    return stored


def _move(directory: Path, store: Path, digest: str) -> None:
    place = _place(store, digest)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        (directory / digest.removeprefix("sha256:")).rename(place)


def _keep(directory: Path, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    place = _place(directory, digest)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(place)
    return digest


def _place(directory: Path, digest: str) -> Path:
    return directory / _BLOBS / digest.removeprefix("sha256:")


def _archived(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_info(name, len(content)), io.BytesIO(content))
