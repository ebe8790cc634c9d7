"""What people may see of a package, in two schemas."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from recstack_gateway.catalog import Catalog

from tests.serving.sample_package import FILMS, RETAIL, SamplePackage


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("artifacts")
    digests = {name: SamplePackage(schema, 1).write(root, name) for name, schema in SCHEMAS.items()}
    return {name: root / "packages" / digest.removeprefix("sha256:") for name, digest in digests.items()}


SCHEMAS = {"retail": RETAIL, "films": FILMS}


def _ids(catalog: Catalog, query: str, after: int | None = None, limit: int = 100) -> list[int]:
    return [item.id for item in catalog.find(query, after, limit)[0]]


def test_schema_of_retail(folders: dict[str, Path]) -> None:
    catalog = Catalog(folders["retail"])
    assert [(one.column, one.kind, one.values) for one in catalog.context] == [
        ("device_type", "category", [0, 1, 2]),
        ("timestamp", "time", []),
    ]
    assert (catalog.users.column, catalog.users.first, catalog.users.last) == ("user_id", 1, 50)
    assert (catalog.items.column, catalog.items.count) == ("item_id", 400)
    assert len(set(catalog.users.examples)) == 4


def test_schema_of_films(folders: dict[str, Path]) -> None:
    catalog = Catalog(folders["films"])
    assert catalog.context == []
    assert (catalog.users.column, catalog.items.column) == ("viewer", "film")
    assert catalog.find("", None, 1)[0][0].features["genre"] in {"comedy", "drama"}


def test_features_are_the_raw_ones(folders: dict[str, Path]) -> None:
    package = SamplePackage(RETAIL, 1)
    names = dict(enumerate(["a", "b", "c"], 3))
    items, more = Catalog(folders["retail"]).find("", None, 400)
    assert not more
    assert [one.features for one in items] == [
        {"category_l1": names[code]} for code in package.items["category_l1"].tolist()
    ]


def test_numbers_go_the_way_back_and_a_null_is_not_told(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    for path in folders["retail"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    compiled = json.loads((folder / "transforms.json").read_bytes())
    mean, std = 3.2, 0.7
    ops = [{"op": "LogOp"}, {"op": "Normalize", "mean": mean, "std": std}]
    compiled["cost"] = {"column": "price", "dtype": "float32", "ops": ops, "default": {"raw": 84.19}}
    compiled["bin"] = {
        "column": "weight",
        "dtype": "int64",
        "ops": [{"op": "Bucketize", "boundaries": [1]}],
        "default": {"raw": 1},
    }
    (folder / "transforms.json").write_text(json.dumps(compiled))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["features"]["item"] += ["cost", "bin"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    prices = np.full(400, 84.19)
    prices[:4] = [0, 0.99, 19.95, 123_456]
    encoded = ((np.log(prices.astype(np.float32) + 1) - mean) / std).astype(np.float32)
    with np.load(folder / "items.npz") as table:
        np.savez(folder / "items.npz", **table, cost=encoded, bin=np.zeros(400, np.int64))
    found = Catalog(folder).find("", None, 5)[0]
    assert [one.features.get("price") for one in found] == pytest.approx(
        [0, 0.99, 19.95, 123_456, None], abs=1e-5
    )
    assert all("weight" not in one.features for one in found)


def test_a_hashed_context_has_no_list_of_values(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(folders["retail"], folder)
    compiled = json.loads((folder / "transforms.json").read_bytes())
    compiled["device_type"]["ops"] = [{"op": "HashBucket", "buckets": 9, "text": True}]
    (folder / "transforms.json").write_text(json.dumps(compiled))
    column = next(c for c in Catalog(folder).context if c.column == "device_type")
    assert (column.kind, column.values, column.count) == ("category", [], 0)


def test_pages_have_every_item_once(folders: dict[str, Path]) -> None:
    catalog = Catalog(folders["retail"])
    seen: list[int] = []
    more, after = True, None
    while more:
        page, more = catalog.find("", after, 37)
        seen += [item.id for item in page]
        after = seen[-1]
    assert seen == list(range(1000, 1400))
    assert catalog.find("", 1399, 10) == ([], False)
    assert catalog.find("", 2**63 - 1, 10) == ([], False)
    assert _ids(catalog, "", -(2**63), 2) == [1000, 1001]
    assert catalog.find("", 1394, 5)[1] is False


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("titulo 1023", [1023]),
        ("  TÍTULO   1399 ", [1399]),
        ("1000", [1000]),
        ("102 titulo", [1020, 1021, 1022, 1023, 1024, 1025, 1026, 1027, 1028, 1029, 1102]),
        ("no such", []),
        ("9" * 30, []),
        ("999", []),
        ("1399\\n", []),
        (".*", []),
    ],
)
def test_search(folders: dict[str, Path], query: str, ids: list[int]) -> None:
    assert _ids(Catalog(folders["retail"]), query) == ids


def test_items_by_id_keep_the_order(folders: dict[str, Path]) -> None:
    catalog = Catalog(folders["retail"])
    wanted = [1399, 5, 1000, 2**63 - 1, -(2**63), 1001]
    assert [one.id for one in catalog.get(wanted)] == [1399, 1000, 1001]
    assert catalog.get([1000])[0].title is None


def test_a_search_goes_on_behind_an_id_as_behind_any_other(folders: dict[str, Path]) -> None:
    catalog = Catalog(folders["retail"])
    every = _ids(catalog, "1", limit=400)
    assert every == list(range(1001, 1400))
    assert _ids(catalog, "1", 1390, 3) == [1391, 1392, 1393]
    assert catalog.find("1000", 1000, 5) == ([], False)
    assert catalog.find("titulo", 1394, 5)[1] is False
    assert catalog.find("titulo", 1393, 5)[1] is True
