"""What dashboards and alerts read."""

from typing import Any

import pytest
from fake_cluster import FakeCluster
from prometheus_client import REGISTRY
from recstack_controllers import kinds
from recstack_operator.metrics import ConditionGauge, Counted

KIND = kinds.RECOMMENDER_STACK


def body(name: str, **conditions: str) -> dict[str, Any]:
    found = [{"type": type, "status": status} for type, status in conditions.items()]
    return {"metadata": {"namespace": "shop", "name": name}, "status": {"conditions": found}}


def shown(name: str, type: str) -> float | None:
    labels = {"kind": KIND.kind, "namespace": "shop", "name": name, "type": type}
    return REGISTRY.get_sample_value("recstack_condition", labels)


def test_conditions_are_numbers() -> None:
    ConditionGauge().show(KIND, body("a", Ready="True", Stalled="False", ModelReady="Unknown"), False)
    assert [shown("a", type) for type in ("Ready", "Stalled", "ModelReady")] == [1, 0, -1]


def test_a_condition_that_was_taken_back_is_shown_no_more() -> None:
    gauge = ConditionGauge()
    gauge.show(KIND, body("b", Ready="True", AutoscalingReady="True"), False)
    gauge.show(KIND, body("b", Ready="False"), False)
    assert shown("b", "Ready") == 0
    assert shown("b", "AutoscalingReady") is None


def test_a_deleted_object_alerts_nobody() -> None:
    gauge = ConditionGauge()
    gauge.show(KIND, body("c", Ready="False"), False)
    gauge.show(KIND, body("c", Ready="False"), True)
    assert shown("c", "Ready") is None
    gauge.show(KIND, body("c"), True)


def test_an_object_without_a_status_shows_nothing() -> None:
    ConditionGauge().show(KIND, {"metadata": {"namespace": "shop", "name": "d"}}, False)
    assert shown("d", "Ready") is None


def writes(verb: str, kind: str) -> float:
    labels = {"verb": verb, "kind": kind}
    return REGISTRY.get_sample_value("recstack_api_writes_total", labels) or 0


async def test_every_write_is_counted_and_asked_for_before_it_is_made() -> None:
    cluster = FakeCluster()
    asked: list[int] = []
    counted = Counted(cluster, lambda: asked.append(len(cluster.writes)))
    before = [writes(verb, "ConfigMap") for verb in ("apply", "delete")]
    made = await counted.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "x"}}
    )
    await counted.get(kinds.CONFIG_MAP, "shop", "x")
    await counted.list(kinds.CONFIG_MAP, "shop", {})
    await counted.patch_status(kinds.CONFIG_MAP, "shop", "x", {"a": "b"}, None)
    await counted.event(made, "Normal", "Made", "It is made.")
    await counted.delete(kinds.CONFIG_MAP, "shop", "x", "Background")
    assert [writes(verb, "ConfigMap") for verb in ("apply", "delete")] == [one + 1 for one in before]
    assert asked == [0, 1, 2, 2]
    assert cluster.events == [("Normal", "Made", "It is made.")]


async def test_a_process_that_may_not_write_does_not() -> None:
    def stop() -> None:
        raise RuntimeError("ended")

    cluster = FakeCluster()
    counted = Counted(cluster, stop)
    with pytest.raises(RuntimeError):
        await counted.delete(kinds.CONFIG_MAP, "shop", "x", "Background")
    assert cluster.writes == []
