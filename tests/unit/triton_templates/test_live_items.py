"""The item table that follows the online store, without a server."""

import math
from pathlib import Path

import numpy as np
import pytest
from recstack_triton_templates import feast_keys, feast_names
from recstack_triton_templates.feast_keys import Value
from recstack_triton_templates.feast_view import FeastView, Row
from recstack_triton_templates.live_items import LiveTable
from recstack_triton_templates.package import Package
from recstack_triton_templates.stages.feast_item_lookup import lookup

from tests.serving.sample_package import RETAIL, SamplePackage

SAMPLE = SamplePackage(RETAIL, 3)
RAW = np.array(["a", "b", "c"])[SAMPLE.items["category_l1"] - 3].tolist()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    digest = SAMPLE.write(tmp_path)
    return Package(tmp_path / "packages" / digest.removeprefix("sha256:"))


@pytest.fixture
def table(package: Package) -> LiveTable:
    view = FeastView("p", feast_names.ITEM_VIEW, "item_id", package.transforms("item"), 60)
    return LiveTable(package.items, view, package.item_transform)


def _row(value: Value, until: float = math.inf) -> Row:
    return Row({"category_l1": value}, until)


def test_the_same_raw_values_are_the_packages_features(table: LiveTable, package: Package) -> None:
    rows = np.arange(RETAIL.items)
    table.put(rows, [_row("b") for _ in rows])
    table.put(rows, [_row(value) for value in RAW])
    table.publish()
    assert table.current is not package.items
    for name, values in table.current(rows).items():
        np.testing.assert_array_equal(values, package.items(rows)[name])
        assert values.dtype == package.items(rows)[name].dtype


def test_only_what_was_put_changes_and_only_when_published(table: LiveTable, package: Package) -> None:
    before = table.current
    table.put(np.array([3, 5, 7, 9]), [_row("c"), _row(None), _row("unheard of"), Row({}, math.inf)])
    assert table.current is before
    table.publish()
    changed = package.items.column("category_l1").copy()
    changed[[3, 5, 7]] = [5, 1, 2]
    np.testing.assert_array_equal(table.current.column("category_l1"), changed)
    np.testing.assert_array_equal(before.column("category_l1"), package.items.column("category_l1"))
    table.put(np.array([3]), [None])
    table.publish()
    assert table.current.column("category_l1")[3] == package.items.column("category_l1")[3]


def test_rows_end(table: LiveTable) -> None:
    table.put(np.array([1, 2, 4]), [_row("a", 100.0), None, _row("a")])
    assert table.expired(99).tolist() == []
    assert table.expired(101).tolist() == [1]
    table.put(np.array([1]), [None])
    assert table.expired(101).tolist() == []


def test_keys_are_rows_of_this_catalog(table: LiveTable) -> None:
    ids = [1399, 1000, 999, 1400, -1, 2**63 - 1]
    keys = [feast_keys.entity_key("p", "item_id", one) for one in ids]
    others = [feast_keys.entity_key("q", "item_id", 1001), feast_keys.entity_key("p", "item", 1001), b"x"]
    assert table.rows_of([*keys, *others]).tolist() == [0, 399]
    assert table.rows_of([]).tolist() == []


def test_plain_requests_get_the_package(table: LiveTable, package: Package) -> None:
    table.put(np.array([3]), [_row(None)])
    table.publish()
    found = lookup(table.current, package.items, np.array([3, 3]), np.array([True, False]))
    assert found["category_l1"].tolist() == [package.items.column("category_l1")[3], 1]
    same = lookup(package.items, package.items, np.array([3]), np.array([True]))
    assert same["category_l1"].tolist() == [package.items.column("category_l1")[3]]
