"""Triton's model repository on disk: a version's rendered files, and the link to its package."""

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from recstack_triton_templates.graph import split_name
from recstack_triton_templates.render import PACKAGE_LINK, SETTINGS_FILE, ServingSettings, model_name

from recstack_gateway.errors import Refused

_MARK = ".repo"


def decode(binary: Mapping[str, str]) -> dict[str, bytes]:
    """Files by path, from a ConfigMap's ``binaryData``."""
    return {key.replace("__", "/"): base64.b64decode(value) for key, value in binary.items()}


def written(repository: Path, version: str, source: str) -> bool:
    """Whether the files of ``source``, an immutable ConfigMap, are there already."""
    mark = repository / model_name(version) / _MARK
    return mark.is_file() and mark.read_text() == source


def write(repository: Path, version: str, source: str, files: Mapping[str, bytes]) -> None:
    """Write a version's files in place of those before; the mark comes last.

    Raises:
        Refused: files that are not of this version.
    """
    folder = model_name(version)
    for path in map(PurePosixPath, files):
        if split_name(path.parts[0])[1] != version or ".." in path.parts:
            raise Refused(f"ConfigMap {source} holds {path}, which is not of version {version}")
    (repository / folder / _MARK).unlink(missing_ok=True)
    for old in repository.glob(f"*--{version}"):  # the parts of another graph
        if split_name(old.name)[1] == version and not any(path.startswith(f"{old.name}/") for path in files):
            shutil.rmtree(old)
    for path_text, content in files.items():
        target = repository / path_text
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (repository / folder / _MARK).write_text(source)


def settings(repository: Path, version: str) -> ServingSettings:
    """What a version that is written is served with."""
    path = repository / model_name(version) / "1" / SETTINGS_FILE
    return ServingSettings(**json.loads(path.read_bytes()))


def link(repository: Path, version: str, package: Path) -> None:
    """Let the model find its package; relative, as each container may mount the volume elsewhere."""
    place = repository / model_name(version) / PACKAGE_LINK
    target = os.path.relpath(package, place.parent)
    if not (place.is_symlink() and os.readlink(place) == target):
        place.unlink(missing_ok=True)
        place.symlink_to(target)
