"""What dashboard and adapter ask Prometheus for is what pods and operator tell."""

import json
import re
from pathlib import Path

import recstack_gateway.metrics
import recstack_operator.metrics
import yaml
from prometheus_client import REGISTRY
from recstack_controllers.resources.autoscaler import METRIC

ROOT = Path(__file__).parents[3]
MODULES = (recstack_gateway.metrics, recstack_operator.metrics)
"""They register what they tell when they are imported."""


def _told() -> set[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {
        family.name + suffix
        for family in REGISTRY.collect()
        for suffix in suffixes.get(family.type, ("",))
        if family.name.startswith("recstack_")
    }


def _asked(text: str) -> set[str]:
    return set(re.findall(r"\brecstack_\w+", text))


def test_every_panel_asks_for_what_there_is() -> None:
    dashboard = json.loads((ROOT / "helm/recstack/files/dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) >= len(dashboard["panels"])
    assert _asked(" ".join(queries)) - _told() == set()


def test_panels_lie_beside_each_other() -> None:
    dashboard = json.loads((ROOT / "helm/recstack/files/dashboard.json").read_text())
    taken = set[tuple[int, int]]()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_adapter_serves_the_metric_that_the_autoscaler_asks_for() -> None:
    values = yaml.safe_load((ROOT / "samples/prometheus-adapter-values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == METRIC
    assert _asked(rule["metricsQuery"] + rule["seriesQuery"]) - _told() == set()
