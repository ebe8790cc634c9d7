"""Packages in a store: written part by part, read back, and only then made visible by their manifest."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recstack_training.artifacts import Store

MANIFEST = "manifest.json"
ROOT = "packages"
TRAINING = "training"
"""Role of parts that only a fine-tune needs, and the folder that they lie in: pods do not pull those."""
OWNER = ".stack"
"""Written before anything else: whose package it is, also of one that was never finished."""


class Damaged(Exception):
    """What lies in the store is not what was written."""


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest_of(path: Path) -> dict[str, Any]:
    """A manifest's entry for a local file."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def publish(store: Store, parts: Mapping[str, Path], about: Mapping[str, Any], scratch: Path) -> str:
    """Write ``parts``, verify them, then write the manifest with their digests; return ``sha256:<hex>``.

    A package that is there already is only verified. ``Damaged`` when something reads back differently.
    """
    entries = {
        name: digest_of(path) | ({"role": TRAINING} if name.startswith(f"{TRAINING}/") else {})
        for name, path in parts.items()
    }
    content = canonical({**about, "parts": entries})
    name = hashlib.sha256(content).hexdigest()
    folder = f"{ROOT}/{name}"
    if not store.exists(f"{folder}/{MANIFEST}"):
        owner = scratch / OWNER
        owner.write_text(about["stack"])
        store.put(owner, f"{folder}/{OWNER}")
        for part, path in parts.items():
            store.put(path, f"{folder}/{part}")
        _verify_parts(store, folder, json.loads(content))
        local = scratch / MANIFEST
        local.write_bytes(content)
        store.put(local, f"{folder}/{MANIFEST}")
    verify(store, f"sha256:{name}")
    return f"sha256:{name}"


def _is_of(store: Store, name: str, stack: str) -> bool:
    try:
        return b"".join(store.read(f"{ROOT}/{name}/{OWNER}")).decode() == stack
    except FileNotFoundError:
        return False


def delete_some(store: Store, stack: str, digests: Iterable[str]) -> list[str]:
    """Delete those packages of ``stack`` whose digests are named; gives the names of what was there.

    The manifest goes first: what is half deleted is no package for any reader. Another stack's stays.
    """
    deleted = []
    for digest in digests:
        name = digest.removeprefix("sha256:")
        if _is_of(store, name, stack):
            store.remove(f"{ROOT}/{name}/{MANIFEST}")
            store.delete(f"{ROOT}/{name}")
            deleted.append(name)
    return deleted


def delete(store: Store, stack: str) -> list[str]:
    """Delete all packages of ``stack`` (``namespace/name``), finished or not; gives their names."""
    deleted = []
    for name in store.folders(ROOT):
        if _is_of(store, name, stack):
            store.delete(f"{ROOT}/{name}")
            deleted.append(name)
    return deleted


def verify(store: Store, digest: str) -> dict[str, Any]:
    """Read the whole package back and return its manifest; ``Damaged`` if any byte is another."""
    found = manifest(store, digest)
    _verify_parts(store, f"{ROOT}/{digest.removeprefix('sha256:')}", found)
    return found


def manifest(store: Store, digest: str) -> dict[str, Any]:
    """The manifest of a package; ``FileNotFoundError`` where there is none, ``Damaged`` if it is another."""
    source = f"{ROOT}/{digest.removeprefix('sha256:')}"
    content = b"".join(store.read(f"{source}/{MANIFEST}"))
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise Damaged(f"{source}/{MANIFEST} does not have the digest that the package is named by")
    found: dict[str, Any] = json.loads(content)
    return found


def fetch(store: Store, digest: str, folder: Path, *, training: bool = False) -> dict[str, Path]:
    """Copy a package here and verify it; its parts by name, with ``training`` those for training too.

    ``Damaged`` if any byte is another.
    """
    source = f"{ROOT}/{digest.removeprefix('sha256:')}"
    parts: dict[str, Path] = {}
    for part, wanted in manifest(store, digest)["parts"].items():
        if wanted.get("role") == TRAINING and not training:
            continue
        parts[part] = folder / part
        parts[part].parent.mkdir(parents=True, exist_ok=True)
        with parts[part].open("wb") as file:
            file.writelines(store.read(f"{source}/{part}"))
        if digest_of(parts[part])["sha256"] != wanted["sha256"]:
            raise Damaged(f"{source}/{part} was read back with another digest; check the store")
    return parts


def _verify_parts(store: Store, folder: str, manifest: Mapping[str, Any]) -> None:
    for part, wanted in manifest["parts"].items():
        found = hashlib.sha256()
        for piece in store.read(f"{folder}/{part}"):
            found.update(piece)
        if found.hexdigest() != wanted["sha256"]:
            raise Damaged(f"{folder}/{part} was read back with another digest; check the store")
