"""Argo CD's health checks, run by a real Lua 5.1, the language of Argo CD's own interpreter."""

from pathlib import Path
from typing import Any

import pytest
from lupa import lua51

FOLDER = Path(__file__).parents[3] / "gitops" / "argocd"
STACK, VERSION = "recommenderstack", "modelversion"


def health(kind: str, thing: dict[str, Any]) -> tuple[str, str]:
    # Argo CD's sandbox has base, table and string; a script that used more would fail only there.
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    for missing in ("os", "io", "package", "require", "debug", "dofile", "loadfile"):
        runtime.globals()[missing] = None
    runtime.globals().obj = runtime.table_from(thing, recursive=True)
    answer = runtime.execute((FOLDER / f"{kind}.lua").read_text())
    return answer["status"], answer["message"]


def thing(
    *conditions: tuple[str, str, str, str],
    generation: int = 1,
    observed: int | None = 1,
    suspend: bool = False,
) -> dict[str, Any]:
    result: dict[str, Any] = {"metadata": {"generation": generation}, "spec": {}}
    if suspend:
        result["spec"]["suspend"] = True
    if observed is not None:
        names = ("type", "status", "reason", "message")
        result["status"] = {
            "observedGeneration": observed,
            "conditions": [dict(zip(names, one, strict=True)) for one in conditions],
        }
    return result


READY = ("Ready", "True", "Ready", "All of it is as spec says.")
SETTLED = ("Reconciling", "False", "Settled", "")
FINE = ("Stalled", "False", "NotStalled", "")
MISSED = "auc is 0.5, below its gate of 0.6"


def moving(reason: str, message: str) -> list[tuple[str, str, str, str]]:
    return [("Ready", "False", reason, message), ("Reconciling", "True", reason, message), FINE]


def stalled(reason: str, message: str) -> list[tuple[str, str, str, str]]:
    return [
        ("Ready", "False", reason, message),
        ("Reconciling", "False", "Stalled", ""),
        ("Stalled", "True", reason, message),
    ]


def at_rest(reason: str, message: str) -> list[tuple[str, str, str, str]]:
    return [("Ready", "False", reason, message), ("Reconciling", "False", reason, ""), FINE]


BOTH: list[tuple[str, dict[str, Any], str, str]] = [
    ("never seen", thing(observed=None), "Progressing", "has not looked"),
    ("an old generation's Ready", thing(READY, SETTLED, FINE, generation=2), "Progressing", "has not looked"),
    (
        "an old generation's Stalled",
        thing(*stalled("BadData", "x"), generation=2),
        "Progressing",
        "not looked",
    ),
    (
        "moving",
        thing(*moving("Training", "Step ingest is running.")),
        "Progressing",
        "Step ingest is running.",
    ),
    ("stalled", thing(*stalled("BadData", "column age is missing")), "Degraded", "column age is missing"),
    ("ready", thing(READY, SETTLED, FINE), "Healthy", "All of it is as spec says."),
    ("no conditions yet", thing(), "Progressing", "not told yet"),
]
NEXT = "b took its place"
SUPERSEDED = [("Loaded", "False", "Superseded", NEXT), ("Ready", "True", "Superseded", NEXT), SETTLED, FINE]
HELD = [
    ("Loaded", "False", "AwaitsPromotion", "annotate it"),
    ("Ready", "True", "NotLive", ""),
    SETTLED,
    FINE,
]
BEGUN = at_rest("Suspended", "Version a is not begun")
NO_PODS = moving("PodsNotReady", "0 of 1 pods")
OF_STACK: list[tuple[str, dict[str, Any], str, str]] = [
    ("suspended and serving", thing(READY, SETTLED, FINE, suspend=True), "Suspended", "All of it"),
    ("suspended before training", thing(*BEGUN, suspend=True), "Suspended", "Version a is not begun"),
    ("suspended, pods start", thing(*NO_PODS, suspend=True), "Progressing", "0 of 1 pods"),
    ("suspended and stalled", thing(*stalled("BadData", "x"), suspend=True), "Degraded", "x"),
    ("its version was rejected", thing(*stalled("GateMissed", MISSED)), "Degraded", MISSED),
]
OF_VERSION: list[tuple[str, dict[str, Any], str, str]] = [
    ("rejected", thing(*stalled("GateMissed", MISSED)), "Healthy", f"Rejected: {MISSED}"),
    ("superseded", thing(*SUPERSEDED), "Healthy", NEXT),
    ("superseded in training", thing(*at_rest("Superseded", NEXT)), "Healthy", NEXT),
    ("awaits promotion", thing(*HELD), "Suspended", "annotate it"),
    ("its stack is suspended", thing(*BEGUN), "Suspended", "Version a is not begun"),
]
CASES = [
    (kind, *case)
    for kind, cases in ((STACK, BOTH + OF_STACK), (VERSION, BOTH + OF_VERSION))
    for case in cases
]


@pytest.mark.parametrize(("kind", "what", "live", "status", "message"), CASES)
def test_health(kind: str, what: str, live: dict[str, Any], status: str, message: str) -> None:
    got = health(kind, live)
    assert got[0] == status, what
    assert message in got[1]
