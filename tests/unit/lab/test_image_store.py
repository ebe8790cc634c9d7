"""Images on disk: parts kept once, archives that leave out what the node has."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from recstack_lab import image_store
from recstack_lab.config import LabError

REFERENCE = "localhost/recstack/operator:dev"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pushed(directory: Path, config: dict[str, Any], *layers: bytes) -> Path:
    """What a push of an image with these layers leaves in a directory."""
    directory.mkdir()
    encoded = json.dumps(config).encode()
    for content in (encoded, *layers):
        (directory / sha(content)).write_bytes(content)
    manifest = {
        "mediaType": "application/m",
        "config": {"digest": f"sha256:{sha(encoded)}"},
        "layers": [{"digest": f"sha256:{sha(layer)}", "size": len(layer)} for layer in layers],
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def archive(target: Path, present: set[str]) -> dict[str, bytes]:
    out = io.BytesIO()
    image_store.write_archive(target, present, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as found:
        return {member.name: (found.extractfile(member) or io.BytesIO()).read() for member in found}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    directory.mkdir()
    return directory


def test_an_archive_holds_the_image_under_its_whole_name(tmp_path: Path, store: Path) -> None:
    target = store / "operator-1.json"
    image_store.adopt(pushed(tmp_path / "pushed", {}, b"one", b"one"), REFERENCE, target)
    found = archive(target, set())
    (entry,) = json.loads(found["index.json"])["manifests"]
    manifest = found["blobs/" + entry["digest"].replace(":", "/")]
    assert sha(manifest) == entry["digest"].removeprefix("sha256:")
    assert len(manifest) == entry["size"]
    assert entry["annotations"]["io.containerd.image.name"] == REFERENCE
    assert found[f"blobs/sha256/{sha(b'one')}"] == b"one"
    assert len(found) == 5, "layout, index, manifest, configuration and the layer once"


def test_what_the_node_has_is_left_out(tmp_path: Path, store: Path) -> None:
    target = store / "operator-1.json"
    image_store.adopt(pushed(tmp_path / "pushed", {}, b"big", b"small"), REFERENCE, target)
    found = archive(target, {f"sha256:{sha(b'big')}"})
    assert f"blobs/sha256/{sha(b'big')}" not in found
    assert found[f"blobs/sha256/{sha(b'small')}"] == b"small"


def test_sources_are_stacked_on_the_layers_that_are_there(tmp_path: Path, store: Path) -> None:
    below = store / "operator-dependencies-1.json"
    image_store.adopt(pushed(tmp_path / "below", {}, b"system", b"environment"), "x", below)
    built = ["system", "environment", "sources as they were built"]
    config = {
        "config": {"User": "1"},
        "rootfs": {"diff_ids": [f"sha256:{sha(each.encode())}" for each in built]},
    }
    top = pushed(tmp_path / "top", {}, b"sources")
    target = store / "operator-2.json"
    stored = image_store.stack(top, json.dumps(config).encode(), below, REFERENCE, target)
    found = archive(target, set())
    manifest = json.loads(found["blobs/" + stored.digest.replace(":", "/")])
    digests = [f"sha256:{sha(each)}" for each in (b"system", b"environment", b"sources")]
    assert [layer["digest"] for layer in manifest["layers"]] == digests
    image = json.loads(found["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert image == {"config": {"User": "1"}, "rootfs": {"diff_ids": digests}}
    other = store / "operator-dependencies-2.json"
    image_store.adopt(pushed(tmp_path / "other", {}, b"system"), "x", other)
    with pytest.raises(LabError, match="operator-dependencies-2"):
        image_store.stack(top, json.dumps(config).encode(), other, REFERENCE, target)


def test_a_program_is_an_image_that_says_what_it_runs(tmp_path: Path, store: Path) -> None:
    binary = tmp_path / "pause"
    binary.write_bytes(b"elf")
    target = store / "pause-1.json"
    first = image_store.program(binary, {"Entrypoint": ["/pause"]}, REFERENCE, target)
    assert image_store.program(binary, {"Entrypoint": ["/pause"]}, REFERENCE, target) == first
    assert image_store.read(target) == first
    found = archive(target, set())
    layers = [
        content for name, content in found.items() if name == f"blobs/{first.parts[2].replace(':', '/')}"
    ]
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as layer:
        (member,) = layer.getmembers()
    assert (member.name, member.mode, member.size) == ("pause", 0o755, 3)


def test_sweep_keeps_what_is_named_and_an_image_without_a_part_is_not_whole(
    tmp_path: Path, store: Path
) -> None:
    target, gone = store / "a-1.json", store / "b-1.json"
    kept = image_store.adopt(pushed(tmp_path / "a", {}, b"one", b"two"), "a", target)
    image_store.adopt(pushed(tmp_path / "b", {"b": 1}, b"one", b"three"), "b", gone)
    gone.unlink()
    image_store.sweep(store)
    assert {f"sha256:{path.name}" for path in (store / "blobs").iterdir()} == set(kept.parts)
    assert image_store.whole(target)
    (store / "blobs" / sha(b"two")).unlink()
    assert not image_store.whole(target)
    assert not image_store.whole(gone)
