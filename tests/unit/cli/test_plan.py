"""What `plan` foretells is held against what the operator's own reconcile does."""

from dataclasses import replace
from typing import Any

import pytest
from recstack_cli.plan import SETTINGS, Effect, Situation, by_field, children, consequences, creation
from recstack_controllers.recommenderstack import versions as choice
from recstack_controllers.recommenderstack.serving_settings import serving_settings
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.configmaps import Plan
from recstack_controllers.resources.stack import Stack
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_triton_templates.render import render
from world import World

NOTHING_YET = Situation((), Plan(None, (), ()))
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "timeZone": "Europe/Berlin"}
S3 = {"bucket": "shop", "prefix": "days"}


def make(spec: dict[str, Any]) -> Stack:
    return Stack("shop", "retail", "uid", RecommenderStackSpec.model_validate(spec), SETTINGS)


def effects(before: dict[str, Any], after: dict[str, Any], now: Situation = NOTHING_YET) -> list[Effect]:
    return [one.effect for one in consequences(make(before), make(after), now)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, [Effect.NOTHING]),
        ({"training": {"seed": 7}}, [Effect.RETRAIN]),
        ({"evaluation": {"gates": [{"metric": "auc", "min": 0.5}]}}, [Effect.RETRAIN]),
        ({"data": {"source": {"s3": S3}}}, [Effect.RETRAIN]),
        ({"serving": {"topK": 10}}, [Effect.RESTART]),
        ({"serving": {"memory": "3Gi"}}, [Effect.RESTART]),
        ({"serving": {"replicas": 3}}, [Effect.SCALE]),
        ({"serving": {"replicas": 3, "topK": 10}}, [Effect.RESTART, Effect.SCALE]),
        ({"stores": {"valkey": {"managed": {"memory": "1Gi"}}}}, [Effect.RESTART]),
        ({"stores": {"valkey": {"managed": {"storage": "9Gi"}}}}, [Effect.REFUSED]),
        ({"autoscaling": {}}, [Effect.SCALE, Effect.UPDATE]),
        ({"suspend": True}, [Effect.UPDATE]),
        ({"rollout": {"historyLimit": 9}}, [Effect.NOTHING]),
        ({"training": {"schedules": [NIGHTLY]}}, [Effect.UPDATE]),
        ({"training": {"schedules": [NIGHTLY | {"kind": "FineTune"}]}}, [Effect.UPDATE]),
        ({"training": {"triggers": {"newData": {}}}}, [Effect.UPDATE]),
        ({"training": {"fineTune": {"epochs": 2}}}, [Effect.UPDATE]),
        ({"training": {"schedules": [NIGHTLY | {"timeZone": "Mars/Olympus"}]}}, [Effect.REFUSED]),
        ({"training": {"maxStaleness": "36h"}}, [Effect.UPDATE]),
    ],
)
def test_effects(after: dict[str, Any], expected: list[Effect]) -> None:
    assert effects({}, after) == expected


def test_a_valkey_elsewhere_takes_the_managed_one_away_and_restarts_pods() -> None:
    external = {"stores": {"valkey": {"external": {"host": "cache.example"}}}}
    found = consequences(make({}), make(external), NOTHING_YET)
    assert found[0].effect is Effect.RESTART
    assert "Deployment retail-serving" in found[0].why
    gone = {one.why for one in found if one.why.endswith("is deleted")}
    assert gone == {
        f"{kind} retail-valkey is deleted" for kind in ("StatefulSet", "Service", "NetworkPolicy")
    }


def test_each_field_is_told_alone() -> None:
    after = make({"serving": {"replicas": 2, "topK": 10}, "training": {"seed": 1}})
    told = {
        change.path: [one.effect for one in found] for change, found in by_field(make({}), after, NOTHING_YET)
    }
    assert told == {
        "training.seed": [Effect.RETRAIN],
        "serving.replicas": [Effect.SCALE],
        "serving.topK": [Effect.RESTART],
    }


def test_each_field_of_an_exchanged_source_is_told_alone() -> None:
    told = by_field(make({}), make({"data": {"source": {"s3": S3}}}), NOTHING_YET)
    assert [change.path for change, _ in told] == ["data.source.synthetic", "data.source.s3"]


def test_a_default_written_out_changes_nothing() -> None:
    assert by_field(make({}), make({"training": {"seed": 42}, "serving": {"replicas": 1}}), NOTHING_YET) == []


def test_a_new_stack() -> None:
    stack = make({"serving": {"replicas": 2}})
    found = creation(stack)
    assert modelversion.name(stack) in found[0].why
    assert "2 serving pods" in found[1].why


async def test_what_is_trained_already_is_only_loaded() -> None:
    world = World()
    await world.settle()
    known = choice.read(world.cluster.all("ModelVersion"), "retail")
    live = known[0].name
    now = Situation(known, Plan(live, (), ()))
    back = consequences(make({"training": {"seed": 7}}), make({}), now)
    assert [(one.effect, live in one.why) for one in back] == [(Effect.RELOAD, True)]
    unfinished = Situation([replace(known[0], package=None)], Plan(None, (), ()))
    assert effects({"training": {"seed": 7}}, {}, unfinished) == [Effect.RETRAIN]


async def test_a_lower_history_limit_names_what_goes() -> None:
    world = World()
    for seed in (1, 2, 3):
        world.edit({"training": {"seed": seed}})
        await world.settle()
    known = choice.read(world.cluster.all("ModelVersion"), "retail")
    spec: dict[str, Any] = {"training": {"seed": 3}}
    live = modelversion.name(make(spec))
    now = Situation(known, Plan(live, (), ()))
    (found,) = consequences(make(spec), make(spec | {"rollout": {"historyLimit": 1}}), now)
    assert (
        found.why
        == f"beyond the history limit: ModelVersion {known[0].name} is deleted, and its files after it"
    )


@pytest.mark.parametrize(
    "spec", [{}, {"autoscaling": {}}, {"stores": {"valkey": {"external": {"host": "x"}}}}]
)
async def test_children_are_those_that_the_operator_makes(spec: dict[str, Any]) -> None:
    world = World(spec)
    await world.stack()
    made = {
        (kind, name)
        for kind, _, name in world.cluster.objects
        if kind not in {"RecommenderStack", "ModelVersion", "ConfigMap"}
    }
    assert set(children(make(spec))) == made


@pytest.mark.parametrize(
    "serving",
    [
        {"candidates": 50},
        {"topK": 10},
        {"gpus": 1},
        {"diversity": {"enabled": True}},
        {"diversity": {"temperature": 0.5}},
        {"seenFilter": {"enabled": False}},
        {"seenFilter": {"capacity": 50}},
    ],
)
def test_no_repository_changes_without_new_pods(serving: dict[str, Any]) -> None:
    # `plan` leaves the Triton repositories out, as new pods load them anyway.
    before, after = make({}), make({"serving": serving})
    assert render("v", serving_settings(before, online=False)) != render(
        "v", serving_settings(after, online=False)
    )
    assert Effect.RESTART in effects({}, {"serving": serving})


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"schedules": [NIGHTLY | {"kind": "FineTune"}]}, "fine-tunes what is live"),
        ({"triggers": {"newData": {}, "drift": {}}}, "new days (kind FineTune), drift (kind Full)"),
        ({"fineTune": {"epochs": 2}}, "nothing is trained anew"),
    ],
)
def test_fine_tunes_and_triggers_are_foretold(training: dict[str, Any], words: str) -> None:
    (found,) = consequences(make({}), make({"training": training}), NOTHING_YET)
    assert words in found.why
