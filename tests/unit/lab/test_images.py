"""Which images are built again when something changes, in which order, and what is kept of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recstack_lab import image_store
from recstack_lab.config import LabError
from recstack_lab.image_builder import APP
from recstack_lab.image_debian import sources_for
from recstack_lab.image_plan import BASE, IMAGES, Environment, System, keys, selected
from recstack_lab.image_python import uv_environment
from recstack_lab.images import build_in

DESCRIPTION: dict[str, Any] = {"media_type": "m", "digest": "sha256:0", "size": 1, "parts": []}


class Recorder:
    """An image builder that remembers what it was asked to do and what it holds."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.did: list[str] = []

    def has(self, tag: str) -> bool:
        return tag in self.tags

    def alias(self, tag: str, reference: str) -> None:
        assert tag in self.tags
        self.tags.add(reference)

    def build_system(self, system: System, containerfile: str, tag: str) -> None:
        self._made("system", tag)

    def build_environment(self, containerfile: str, lock: str, base: str, tag: str) -> None:
        assert base in self.tags, "an environment stands on a base that was built before"
        self._made("environment", tag)

    def build_sources(
        self, containerfile: str, directories: tuple[str, ...], files: list[Path], dependencies: str, tag: str
    ) -> None:
        assert dependencies in self.tags
        self._made("sources", tag)

    def export(self, reference: str, target: Path) -> None:
        assert reference in self.tags
        target.write_text(json.dumps({**DESCRIPTION, "reference": reference}))
        self.did.append(f"export {reference.rpartition('/')[2].partition(':')[0]}")

    def export_sources(self, reference: str, dependencies: Path, target: Path) -> None:
        assert dependencies.is_file()
        assert reference in self.tags
        target.write_text(json.dumps({**DESCRIPTION, "reference": reference}))

    def forget(self, prefix: str, keep: set[str]) -> None:
        self.tags = {tag for tag in self.tags if not tag.startswith(prefix) or tag in keep}

    def _made(self, what: str, tag: str) -> None:
        self.tags.add(tag)
        self.did.append(f"{what} {tag.rpartition('/')[2].partition(':')[0]}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for image in IMAGES:
        heavy = image.heavy
        files = [image.containerfile]
        files += [heavy.packages] if isinstance(heavy, System) else [heavy.containerfile, heavy.lock]
        files += [f"{source}/module.py" for source in image.sources]
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{file}\n")
    return root


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    directory.mkdir()
    return directory


def changed_by(tree: Path, change: Callable[[], object]) -> tuple[set[str], set[str]]:
    """Names of the images whose hash changes, and of those whose heavy part changes too."""
    before = {image.name: keys(tree, image) for image in IMAGES}
    change()
    after = {image.name: keys(tree, image) for image in IMAGES}
    return (
        {name for name in before if before[name].image != after[name].image},
        {name for name in before if before[name].heavy != after[name].heavy},
    )


@pytest.mark.parametrize(
    ("file", "images", "heavy"),
    [
        ("operator/recstack_operator/module.py", {"operator"}, set()),
        ("crds/recstack_crds/module.py", {"operator", "serving", "training"}, set()),
        (
            "triton_templates/recstack_triton_templates/module.py",
            {"operator", "serving", "training", "feast"},
            set(),
        ),
        ("gateway/Containerfile", {"serving"}, set()),
        ("gateway/requirements.lock", {"serving"}, {"serving"}),
        ("training_images/feast/recstack_feast/module.py", {"feast"}, set()),
        ("images/valkey/packages.txt", {"valkey"}, {"valkey"}),
        (
            "images/base/packages.txt",
            {"base", "operator", "serving", "training", "feast"},
            {"base", "operator", "serving", "training", "feast"},
        ),
    ],
)
def test_a_file_changes_the_images_it_is_in(tree: Path, file: str, images: set[str], heavy: set[str]) -> None:
    assert changed_by(tree, lambda: (tree / file).write_text("changed")) == (images, heavy)


def test_byte_code_changes_nothing_and_a_renamed_file_does(tree: Path) -> None:
    package = tree / "operator/recstack_operator"
    cache = package / "__pycache__"
    cache.mkdir()
    assert changed_by(tree, lambda: (cache / "module.pyc").write_bytes(b"1")) == (set(), set())
    assert changed_by(tree, lambda: (package / "module.py").rename(package / "other.py"))[0] == {"operator"}


def test_everything_is_built_once_and_in_order(tree: Path, store: Path) -> None:
    builder = Recorder()
    loaded: list[str] = []
    build_in(tree, store, builder, lambda path: loaded.append(image_store.read(path).reference))
    assert builder.did == [
        "system base",
        "export base",
        "system valkey",
        "export valkey",
        "environment operator-dependencies",
        "sources operator",
        "export operator-dependencies",
        "environment serving-dependencies",
        "sources serving",
        "export serving-dependencies",
        "environment training-dependencies",
        "sources training",
        "export training-dependencies",
        "environment feast-dependencies",
        "sources feast",
        "export feast-dependencies",
    ]
    names = ("valkey", "operator", "serving", "training", "feast")
    assert loaded == [f"localhost/recstack/{name}:dev" for name in names]


def test_unchanged_is_not_built_but_loaded(
    tree: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = Recorder()
    build_in(tree, store, builder)
    builder.did.clear()
    loaded: list[Path] = []
    build_in(tree, store, builder, loaded.append)
    assert builder.did == []
    assert len(loaded) == len(IMAGES) - 1
    assert "image training is up to date" in capsys.readouterr().err


def test_a_source_change_installs_nothing_and_leaves_one_image(tree: Path, store: Path) -> None:
    builder = Recorder()
    build_in(tree, store, builder)
    builder.did.clear()
    (tree / "gateway/recstack_gateway/module.py").write_text("changed")
    build_in(tree, store, builder)
    assert builder.did == ["sources serving"]
    assert sorted(path.stem.rpartition("-")[0] for path in store.glob("serving-*.json")) == [
        "serving",
        "serving-dependencies",
    ]
    assert len([tag for tag in builder.tags if tag.startswith("localhost/recstack/serving:")]) == 2


def test_asking_for_one_image_builds_the_base_under_it(tree: Path, store: Path) -> None:
    builder = Recorder()
    build_in(tree, store, builder, only=["serving"])
    assert [what for what in builder.did if not what.startswith("export")] == [
        "system base",
        "environment serving-dependencies",
        "sources serving",
    ]


def test_valkey_needs_no_base_and_unknown_images_are_named() -> None:
    assert [image.name for image in selected(["valkey"])] == ["valkey"]
    assert selected(["operator"])[0] is BASE
    with pytest.raises(LabError, match="'srving'"):
        selected(["srving"])


def test_every_file_that_an_image_is_made_of_exists() -> None:
    root = Path(__file__).resolve().parents[3]
    for image in IMAGES:
        heavy = image.heavy
        files = (heavy.containerfile, heavy.lock) if isinstance(heavy, Environment) else (heavy.packages,)
        for file in (image.containerfile, *files):
            assert (root / file).is_file(), file
        lines = (root / image.containerfile).read_text().splitlines()
        copied = {line.split()[1]: line.split()[2] for line in lines if line.startswith("COPY ")}
        assert tuple(copied) == image.sources
        # Only this directory is taken from the image into the layer of its sources.
        assert all(place.startswith(f"{APP}/") for place in copied.values())


def test_archives_of_both_formats_are_moved_to_the_release(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# old\ndeb [signed-by=/keys/a.gpg arch=amd64] http://mirror.test/debian bookworm main\n"
        "deb-src http://mirror.test/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\n# why\nURIs: http://mirror.test/security\nSuites: bookworm-security\n"
        "Components: main\nSigned-By: /keys/b.gpg\n\n"
        "Types: deb\nEnabled: no\nURIs: http://off.test\nSuites: bookworm\nComponents: main\n"
    )
    (tmp_path / "sources.list.d" / "other.list").write_text("deb http://other.test nodistro main\n")
    assert sources_for("trixie", tmp_path, own="bookworm") == [
        "deb [signed-by=/keys/a.gpg] http://mirror.test/debian trixie main",
        "deb [signed-by=/keys/b.gpg] http://mirror.test/security trixie-security main",
    ]
    with pytest.raises(LabError, match="noble"):
        sources_for("trixie", tmp_path, own="noble")


def test_pip_settings_become_uv_settings_and_the_environment_wins() -> None:
    pip = {"index-url": "https://file.test/simple", "extra-index-url": "https://a.test\nhttps://b.test"}
    found = uv_environment(
        {"PIP_INDEX_URL": "https://env.test/simple", "HTTPS_PROXY": "p", "HOME": "/x"}, pip
    )
    assert found["UV_DEFAULT_INDEX"] == "https://env.test/simple"
    assert found["UV_INDEX"] == "https://a.test https://b.test"
    assert found["HTTPS_PROXY"] == "p"
    assert "HOME" not in found
    assert uv_environment({}, pip)["UV_DEFAULT_INDEX"] == "https://file.test/simple"
