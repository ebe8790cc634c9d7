"""The generated world has the reference's facts."""

import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from recstack_crds.v1alpha1.data import CatalogFile, Synthetic
from recstack_training.errors import BadInput
from recstack_training.synthetic import digest, generate
from recstack_training.synthetic.events import EVENT_WEIGHTS, EVENTS, HOURS

PARAMS = Synthetic(users=800, items=400, interactions=60_000, days=7)


def log_of(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in sorted(folder.glob("day_*.parquet"))], ignore_index=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "w"
    generate(PARAMS, folder, folder, folder.parent / ".scratch")
    return folder


@pytest.fixture(scope="module")
def joined(world: Path) -> pd.DataFrame:
    items, users = pd.read_parquet(world / "items.parquet"), pd.read_parquet(world / "users.parquet")
    return log_of(world).merge(items, on="item_id").merge(users, on="user_id")


def test_sizes_and_days(world: Path) -> None:
    log = log_of(world)
    assert len(log) == 60_000
    for number, path in enumerate(sorted(world.glob("day_*.parquet"))):
        time = pd.read_parquet(path).timestamp
        assert ((time - 1_704_067_200) // 86_400 == number).all()
        assert time.is_monotonic_increasing
    assert len(pd.read_parquet(world / "items.parquet")) == 400
    assert len(pd.read_parquet(world / "users.parquet")) == 800


def test_descriptions_tell_products_of_a_kind_apart(world: Path) -> None:
    items = pd.read_parquet(world / "items.parquet")
    texts = pd.read_parquet(world / "item_descriptions.parquet")
    assert texts.item_id.tolist() == items.item_id.tolist()
    assert texts.product_description.nunique() > 0.95 * len(items)
    for text, item in zip(texts.product_description, items.itertuples(), strict=True):
        assert item.title in text
        assert item.category_l1 in text
        assert item.category_l2 in text
    assert not (world / "item_images").exists(), "pictures are drawn when asked for"


def test_pictures_show_category_and_style(tmp_path: Path) -> None:
    params = Synthetic(users=20, items=60, interactions=200, days=2, pictures=True)
    generate(params, tmp_path / "w", tmp_path, tmp_path / ".scratch")
    items = pd.read_parquet(tmp_path / "w" / "items.parquet")
    corners = []
    for item in items.item_id:
        with Image.open(tmp_path / "w" / "item_images" / f"{item}.jpg") as picture:
            assert picture.size == (64, 64)
            corners.append(picture.getpixel((1, 1)))
    shades = pd.DataFrame(corners, index=items.category_l1).astype(float)
    categories = shades.groupby(level=0).mean()
    far = np.linalg.norm(shades.to_numpy()[:, None] - categories.to_numpy()[None], axis=2)
    assert categories.index[far.argmin(axis=1)].tolist() == items.category_l1.tolist(), (
        "a background a category"
    )


def test_personas(joined: pd.DataFrame) -> None:
    counts = joined.groupby(["user_id", "category_l1"]).size().sort_values(ascending=False)
    active = counts.groupby("user_id").filter(lambda c: c.sum() >= 60)
    shares = active.groupby("user_id").apply(lambda c: (c / c.sum()).to_numpy()[:3])
    assert joined.groupby("user_id").category_l1.nunique().max() <= 3
    np.testing.assert_allclose(
        np.stack([share for share in shares if len(share) == 3]).mean(0), [0.60, 0.25, 0.15], atol=0.02
    )


def test_cliques(joined: pd.DataFrame) -> None:
    """Nine in ten events of a user in a category are on five items or fewer."""
    counts = joined.groupby(["user_id", "category_l1", "item_id"]).size()
    top = counts.groupby(["user_id", "category_l1"]).apply(lambda c: c.nlargest(5).sum()).sum()
    assert top / len(joined) > 0.9


def test_gender_affinity(joined: pd.DataFrame) -> None:
    gendered = joined[joined.item_gender != "Any"]
    assert (gendered.item_gender == gendered.gender).mean() > 0.8


def test_event_mix_devices_hours(joined: pd.DataFrame) -> None:
    expected = pd.Series(EVENT_WEIGHTS / EVENT_WEIGHTS.sum(), EVENTS)
    shares = joined.event_type.value_counts(normalize=True)[list(EVENTS)]
    np.testing.assert_allclose(shares, expected, atol=0.004)
    assert set(joined.device_type) == {0, 1, 2}
    for device in range(3):
        hours = (joined[joined.device_type == device].timestamp // 3600 % 24).value_counts(normalize=True)
        expected_hours = HOURS[device] / HOURS[device].sum()
        np.testing.assert_allclose(hours.reindex(range(24), fill_value=0), expected_hours, atol=0.015)


def test_same_seed_same_bytes_other_seed_others(world: Path, tmp_path: Path) -> None:
    generate(PARAMS, tmp_path / "again", tmp_path, tmp_path / ".scratch")
    other = PARAMS.model_copy(update={"seed": 8})
    generate(other, tmp_path / "other", tmp_path, tmp_path / ".scratch")
    for path in sorted(world.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
        assert path.read_bytes() != (tmp_path / "other" / path.name).read_bytes(), path.name
    assert digest(PARAMS) != digest(other)


@pytest.mark.parametrize(
    ("users", "items", "interactions", "days"), [(10, 10, 100, 2), (10, 2465, 5000, 14), (5000, 10, 300, 30)]
)
def test_any_size(users: int, items: int, interactions: int, days: int, tmp_path: Path) -> None:
    params = Synthetic(users=users, items=items, interactions=interactions, days=days)
    generate(params, tmp_path / "w", tmp_path, tmp_path / ".scratch")
    log = log_of(tmp_path / "w")
    assert len(log) == interactions
    assert len(list((tmp_path / "w").glob("day_*"))) == days
    assert log.user_id.between(1, users).all()
    assert log.item_id.between(1, items).all()


def test_memory_is_that_of_one_day(tmp_path: Path) -> None:
    """Three times the days add next to nothing to the peak."""
    generate(
        Synthetic(users=1000, items=100, interactions=400_000, days=2),
        tmp_path / "a",
        tmp_path,
        tmp_path / ".scratch",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    generate(
        Synthetic(users=1000, items=100, interactions=1_200_000, days=6),
        tmp_path / "b",
        tmp_path,
        tmp_path / ".scratch",
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000, f"{grown} KiB for 4 more days of 200,000 events"


CATALOG = """
- {id: x1, name: Red Boots, category: footwear, style: boots, price: 10.5, gender_affinity: F,
   description: "Red, for rain."}
- {id: x2, name: Tea, category: groceries, style: tea, price: 2}
- {id: x3, name: Blue Boots, category: footwear, style: boots, price: 12.5, gender_affinity: M}
"""


def test_a_products_file_is_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "products.yaml").write_text(CATALOG)
    generate(
        PARAMS.model_copy(update={"catalog": CatalogFile(claim_name="shop")}),
        tmp_path / "w",
        tmp_path,
        tmp_path / ".scratch",
    )
    items = pd.read_parquet(tmp_path / "w" / "items.parquet")
    assert items.title.tolist() == ["Red Boots", "Tea", "Blue Boots"]
    assert items.item_gender.tolist() == ["F", "Any", "M"]
    texts = pd.read_parquet(tmp_path / "w" / "item_descriptions.parquet")
    assert texts.product_description.tolist() == ["Red, for rain.", None, None]
    assert set(log_of(tmp_path / "w").item_id) <= {1, 2, 3}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("- {id: x1, name: Boots}", "MissingColumn"),
        ("[]", "EmptyTable"),
        ("name: not a list", "WrongType"),
        ("- {name: a, category: b, style: c, price: dear}", "WrongType"),
        ("{[", "NotYaml"),
    ],
)
def test_a_bad_catalog_is_bad_input(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "products.yaml").write_text(content)
    with pytest.raises(BadInput) as error:
        generate(
            PARAMS.model_copy(update={"catalog": CatalogFile(claim_name="shop")}),
            tmp_path / "w",
            tmp_path,
            tmp_path / ".scratch",
        )
    assert error.value.reason == reason
    assert [p.name for p in tmp_path.iterdir()] == ["products.yaml"], "nothing half-made is left"


def test_a_missing_catalog_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        generate(
            PARAMS.model_copy(update={"catalog": CatalogFile(claim_name="shop", path="no.yaml")}),
            tmp_path / "w",
            tmp_path,
            tmp_path / ".scratch",
        )
