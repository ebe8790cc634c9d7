"""Which version `rollback` goes to, and what `plan` says of a pin."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from recstack_cli.errors import CliError
from recstack_cli.kubectl import Kubectl
from recstack_cli.plan import SETTINGS, Effect, Situation, consequences
from recstack_cli.rollback import pin, previous
from recstack_controllers.kit.cluster import Kind, Manifest
from recstack_controllers.recommenderstack import versions as choice
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources.configmaps import Plan, PlannedVersion
from recstack_controllers.resources.stack import Stack
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_crds.v1alpha1.status import Condition
from world import World


def known(name: str, *, packaged: bool = True) -> Known:
    done = Condition(type="x", status="True", reason="Done", last_transition_time="2026-01-01T00:00:00Z")
    conditions = {"Evaluated": done, "Packaged": done} if packaged else {}
    return Known(name, "2026-01-01T00:00:00Z", True, True, "sha256:1" if packaged else None, conditions)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("", None),
        ("a", None),
        ("ba", "a"),
        ("bcba", "a"),  # c was taken back to b: another rollback does not go forth to c
        ("cbcba", "b"),
        ("aba", "b"),
        ("dxcb", "c"),  # x is gone
        ("dyc", "c"),  # y was never packaged
    ],
)
def test_the_version_before(history: str, expected: str | None) -> None:
    there = [known(name) for name in "abcd"] + [known("y", packaged=False)]
    assert previous(list(history), there) == expected


class Recorded(Kubectl):
    """kubectl over a fake cluster's versions, which remembers what it was told to write."""

    versions: ClassVar[list[Manifest]] = []
    told: ClassVar[list[tuple[str, ...]]] = []

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        return self.versions

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        self.told.append(arguments)
        return ""


async def test_a_rollback_pins_the_version_before_or_says_what_there_is() -> None:
    world = World()
    for seed in (1, 2):
        world.edit({"training": {"seed": seed}})
        await world.settle()
    old, live = world.plan.kept[0], world.plan.live
    stack, kubectl = world.cluster.find("RecommenderStack", "retail"), Recorded()
    Recorded.versions, Recorded.told = world.cluster.all("ModelVersion"), []
    assert pin(kubectl, stack, None) == old
    ((verb, _, name, kind, patch),) = Recorded.told
    assert (verb, name, kind) == ("patch", "retail", "--type=merge")
    world.edit({"training": {"seed": 2}} | json.loads(patch.removeprefix("--patch="))["spec"])
    await world.settle()
    assert world.plan.live == old
    assert pin(kubectl, stack, live) == live
    with pytest.raises(CliError, match=r"retail has no version gone\. Packaged are: retail-"):
        pin(kubectl, stack, "gone")
    only = stack | {"status": {"history": [{"version": live, "since": "2026-01-01T00:00:00Z"}]}}
    with pytest.raises(CliError, match="say which with --to"):
        pin(kubectl, only, None)


def make(**rollout: Any) -> Stack:
    spec = RecommenderStackSpec.model_validate({"training": {"seed": 2}, "rollout": rollout})
    return Stack("shop", "retail", "uid", spec, SETTINGS)


@pytest.fixture
async def situation() -> Situation:
    world = World()
    for seed in (1, 2):
        world.edit({"training": {"seed": seed}})
        await world.settle()
    return Situation(choice.read(world.cluster.all("ModelVersion"), "retail"), world.plan)


async def test_what_plan_says_of_a_pin(situation: Situation) -> None:
    live, (old,) = situation.plan.live or "", situation.plan.kept

    def told(before: Stack, after: Stack, now: Situation = situation) -> tuple[Effect, str]:
        (found,) = consequences(before, after, now)
        return found.effect, found.why

    assert told(make(), make(pin=old)) == (
        Effect.RELOAD,
        f"version {old} takes over: pods hold it, so it answers within seconds",
    )
    alone = replace(situation, plan=Plan(live, (PlannedVersion(live, "sha256:1", "r", "a"),), ()))
    effect, why = told(make(), make(pin=old), alone)
    assert (effect, "pods load it" in why) == (Effect.RELOAD, True)
    effect, why = told(make(), make(pin=live))
    assert (effect, "answers already" in why) == (Effect.UPDATE, True)
    effect, why = told(make(), make(pin="gone"))
    assert (effect, "Stalled" in why) == (Effect.UPDATE, True)
    rolled = replace(situation, plan=replace(situation.plan, live=old, kept=(live,)))
    effect, why = told(make(pin=old), make(), rolled)
    assert (effect, live in why) == (Effect.RELOAD, True)
    effect, why = told(make(pin=live), make())
    assert (effect, "may take over again" in why) == (Effect.UPDATE, True)
    effect, why = told(make(), make(keepLoaded=0))
    assert (effect, "up to 0 versions" in why) == (Effect.UPDATE, True)
