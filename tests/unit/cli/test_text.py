import sys
from typing import Any

import pytest
from recstack_cli import recommend, status, versions
from recstack_cli.text import Node, columns, plain, print_tree

STEP = {"name": "ingest", "state": "Succeeded", "job": "a-ingest", "computeSeconds": 1.25, "wallSeconds": 9.5}
FAILED = {"name": "features", "state": "Failed", "job": "a-features", "message": "column age is missing"}


def condition(type: str, value: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": type, "status": value, "reason": reason, "message": message, "lastTransitionTime": ""}


def test_a_stack_as_plain_lines() -> None:
    found = {
        "name": "retail",
        "namespace": "shop",
        "generation": 2,
        "status": {
            "observedGeneration": 1,
            "phase": "Training",
            "endpoint": "http://retail.shop.svc:8080",
            "liveVersion": "retail-a",
            "readyReplicas": 1,
            "replicas": 2,
            "conditions": [condition("Ready", "False", "Training", "Step features is running.")],
        },
        "versions": [
            {"name": "retail-a", "status": {"metrics": {"auc": 0.81234}}},
            {"name": "retail-b", "status": {"phase": "Stalled", "steps": [STEP, FAILED]}},
        ],
        "pods": [{"name": "retail-1", "phase": "Running", "ready": True, "restarts": 0}],
    }
    assert plain(status.tree(found)) == [
        "RecommenderStack shop/retail: Training",
        "  The operator has not looked at its present spec yet: is it running?",
        "  endpoint http://retail.shop.svc:8080, 1 of 2 pods ready",
        "  conditions",
        "    Ready=False  Training: Step features is running.",
        "  versions (2)",
        "    retail-a  Live  auc 0.8123",
        "    retail-b  Stalled",
        "      ingest  Succeeded  1.2 s  (9.5 s with its pod)",
        "      features  Failed  column age is missing",
        "  pods (1)",
        "    retail-1  Running, ready, 0 restarts",
    ]


def test_columns_are_aligned_and_not_padded_at_the_end() -> None:
    assert columns([["A", "B"], ["long", "x"]]) == "A      B\nlong   x"


def test_versions_differ_in_recipe_and_metrics() -> None:
    def version(name: str, seed: int, metrics: dict[str, float]) -> dict[str, Any]:
        return {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": name, "uid": name},
            "spec": {"stack": "retail", "recipe": {"training": {"seed": seed}}},
            "status": {"metrics": metrics},
        }

    found = versions.compare(version("a", 1, {"auc": 0.5}), version("b", 2, {"auc": 0.75, "ndcg@10": 0.1}))
    assert versions.describe(found).splitlines() == [
        "RECIPE          a   b",
        "training.seed   1   2",
        "",
        "METRIC    a     b      DIFFERENCE",
        "auc       0.5   0.75   +0.25",
        "ndcg@10   -     0.1    -",
    ]
    same = versions.compare(version("a", 1, {}), version("b", 1, {}))
    assert versions.describe(same) == "The recipes are the same."


@pytest.mark.parametrize(("degraded", "end"), [(False, "By version v."), (True, "could not be left out.")])
def test_recommendations(degraded: bool, end: str) -> None:
    items = [{"id": 7, "score": 0.5, "title": "Shoe"}, {"id": 8, "score": 0.25, "title": None}]
    shown = recommend.table({"version": "v", "items": items, "degraded": degraded}).splitlines()
    assert shown[:3] == ["    ITEM   SCORE    TITLE", "1   7      0.5000   Shoe", "2   8      0.2500   -"]
    assert shown[-1].endswith(end)


def test_a_terminal_gets_a_drawn_tree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Node("stack [a]", "bold")
    root.add("one", "red").add("two")
    print_tree(root)
    assert capsys.readouterr().out == "stack [a]\n  one\n    two\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    print_tree(root)
    assert capsys.readouterr().out == "stack [a]\n└── one\n    └── two\n"
