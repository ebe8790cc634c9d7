"""The kit: conditions, patches of a status, quantities, names, and writing only what differs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from fake_cluster import FakeCluster, merge
from hypothesis import HealthCheck, given, settings
from recstack_controllers import kinds
from recstack_controllers.kit import decode, names, quantity
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.clock import parse, rfc3339
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.kit.status import merge_patch
from recstack_crds.v1alpha1 import RecommenderStackSpec, RecommenderStackStatus

START = datetime(2026, 1, 1, tzinfo=UTC)


def later(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def test_a_transition_is_a_change_of_the_state_not_of_the_words() -> None:
    conditions = Conditions([], 1, START)
    conditions.set("Ready", State.FALSE, "Training", "a")
    conditions = Conditions(conditions.as_list(["Ready"]), 1, later(1))
    conditions.set("Ready", State.FALSE, "Loading", "b")
    (found,) = conditions.as_list(["Ready"])
    assert (found.reason, found.message) == ("Loading", "b")
    assert found.last_transition_time == rfc3339(START)
    conditions.set("Ready", State.TRUE, "Ready", "c")
    assert conditions.as_list(["Ready"])[0].last_transition_time == rfc3339(later(1))


def test_what_is_not_set_again_speaks_of_the_present_generation() -> None:
    conditions = Conditions([], 1, START)
    conditions.set("StoresReady", State.TRUE, "ValkeyReady", "")
    (found,) = Conditions(conditions.as_list(["StoresReady"]), 7, later(5)).as_list(["StoresReady"])
    assert found.observed_generation == 7
    assert found.last_transition_time == rfc3339(START)


def test_conditions_have_an_order_and_can_be_taken_back() -> None:
    conditions = Conditions([], 1, START)
    for type in ("B", "A", "Odd"):
        conditions.set(type, State.TRUE, "So", "")
    conditions.remove("B")
    conditions.remove("never was")
    assert [one.type for one in conditions.as_list(["A", "B"])] == ["A"]
    assert not conditions.is_true("B")
    assert conditions.get("B") is None


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
TREES = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(
        LEAVES.filter(lambda leaf: leaf is not None),
        lambda inner: (
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3) | st.lists(inner, max_size=2)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, TREES)
def test_a_patch_makes_one_status_of_another(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merge(before, merge_patch(before, wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2.0), ("1Gi", 2**30), ("1.5Mi", 1.5 * 2**20), ("1k", 1000), ("3T", 3e12)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity.value(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "-1", "1Xi", "1e3"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.value(text)


def test_times_go_there_and_back() -> None:
    assert parse(rfc3339(later(90))) == later(90)
    assert rfc3339(START) == "2026-01-01T00:00:00Z"


def test_a_name_follows_the_content_and_not_the_order_of_its_keys() -> None:
    assert names.version("shop", {"a": 1, "b": 2}) == names.version("shop", {"b": 2, "a": 1})
    assert names.version("shop", {"a": 1}) != names.version("shop", {"a": 2})
    # Longest stack name that the CRD takes, longest step: still a label.
    assert len(names.job(names.version("s" * 36, {}), "train-retrieval")) <= 63


def test_a_spec_that_does_not_validate_names_the_field_and_counts_the_rest() -> None:
    wrong = {"spec": {"serving": {"replicas": "x", "topK": -1}}}
    with pytest.raises(Stalled) as caught:
        decode.spec(RecommenderStackSpec, wrong)
    assert caught.value.reason == "InvalidSpec"
    assert caught.value.action.startswith("spec.serving.replicas: ")
    assert "(1 more)" in caught.value.action


@pytest.mark.parametrize("status", [None, {"phase": 3}, {"conditions": [{"type": "Ready"}]}])
def test_a_status_that_cannot_be_read_is_none(status: Any) -> None:
    assert decode.status(RecommenderStackStatus, {"status": status}) == RecommenderStackStatus()


def test_a_status_of_another_release_is_read_as_far_as_it_goes() -> None:
    found = decode.status(RecommenderStackStatus, {"status": {"phase": "Ready", "invented": {"x": 1}}})
    assert found.phase == "Ready"


async def test_the_same_manifest_is_written_once() -> None:
    cluster = FakeCluster()
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "shop"},
        "data": {"a": "1"},
    }
    for _ in range(3):
        await apply(cluster, kinds.CONFIG_MAP, manifest)
    assert len(cluster.writes) == 1
    assert "annotations" not in manifest["metadata"]
    await apply(cluster, kinds.CONFIG_MAP, manifest | {"data": {"a": "2"}})
    assert len(cluster.writes) == 2
