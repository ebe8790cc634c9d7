"""What is left in a store when a stack is deleted."""

from pathlib import Path

import pytest
from recstack_training import delete_packages
from recstack_training.artifacts import open_store
from recstack_training.packages import ROOT, Damaged, publish, verify


def test_only_the_stacks_own_packages_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "part"
    part.write_text("content")
    uri = f"file://{tmp_path}/artifacts"
    store = open_store(uri)
    publish(store, {"part": part}, {"stack": "shop/retail"}, tmp_path)
    other = publish(store, {"part": part}, {"stack": "shop/films"}, tmp_path)
    # A package step that was killed: no manifest, and yet it is known whose it is.
    owner = tmp_path / "owner"
    owner.write_text("shop/retail")
    store.put(owner, f"{ROOT}/unfinished/.stack")
    store.put(part, f"{ROOT}/unfinished/part")

    monkeypatch.setattr("sys.argv", ["delete_packages", "--artifacts", uri, "--stack", "shop/retail"])
    assert delete_packages.main() == 0

    assert store.folders(ROOT) == [other.removeprefix("sha256:")]
    assert verify(store, other)["stack"] == "shop/films"
    assert delete_packages.main() == 0, "nothing left to delete is fine"


def test_an_unfinished_package_does_not_verify(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    part = tmp_path / "part"
    part.write_text("content")
    digest = publish(store, {"part": part}, {"stack": "a/b"}, tmp_path)
    (tmp_path / ROOT / digest.removeprefix("sha256:") / "part").write_text("other")
    with pytest.raises(Damaged, match="another digest"):
        verify(store, digest)
