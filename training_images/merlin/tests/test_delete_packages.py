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


def test_only_old_versions_files_go(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_text("content")
    uri, work = f"file://{tmp_path}/artifacts", tmp_path / "work"
    store = open_store(uri)
    digests = [publish(store, {"part": part}, {"stack": "shop/retail", "n": n}, tmp_path) for n in range(3)]
    other = publish(store, {"part": part}, {"stack": "shop/films"}, tmp_path)
    for name in ("retail-1", "retail-2"):
        (work / "runs" / name).mkdir(parents=True)
        (work / "runs" / name / "file").write_text("x")
    line = ["--artifacts", uri, "--stack", "shop/retail", "--work", str(work)]
    asked = ["--version", "retail-1", "--version", "never-there", "--package", digests[0], "--package", other]
    for _ in range(2):  # asked again, it is done already
        assert delete_packages.main([*line, *asked]) == 0
        assert sorted(store.folders(ROOT)) == sorted(d.removeprefix("sha256:") for d in (*digests[1:], other))
        assert [path.name for path in (work / "runs").iterdir()] == ["retail-2"]
    assert delete_packages.main(line) == 0, "nothing named, nothing deleted"
    assert len(store.folders(ROOT)) == 3
    assert delete_packages.main([*line, "--version", "../runs"]) == 3
    assert (work / "runs" / "retail-2").is_dir()


def test_an_unfinished_package_does_not_verify(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    part = tmp_path / "part"
    part.write_text("content")
    digest = publish(store, {"part": part}, {"stack": "a/b"}, tmp_path)
    (tmp_path / ROOT / digest.removeprefix("sha256:") / "part").write_text("other")
    with pytest.raises(Damaged, match="another digest"):
        verify(store, digest)
