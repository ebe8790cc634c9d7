"""Files of versions beyond the history limit: which go, and which never."""

import contextlib
from typing import Any

import hypothesis.strategies as st
import pytest
from fake_cluster import Cut
from hypothesis import given
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.recommenderstack import pruning
from recstack_controllers.recommenderstack.pruning import decide, in_use
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources.configmaps import Plan, PlannedVersion
from recstack_crds.v1alpha1.modelversion import ParentStatus
from recstack_crds.v1alpha1.recommenderstack import MAX_LEAVING, Leaving
from recstack_crds.v1alpha1.status import Condition
from world import SPACE, STACK, World

NOTHING = Plan(None, (), ())


def true(type: str) -> Condition:
    return Condition(type=type, status="True", reason="Yes", last_transition_time="2026-01-01T00:00:00Z")


def known(name: str, package: str | None = None, *, trained: bool = True, **more: Any) -> Known:
    conditions = {type: true(type) for type in ("Packaged", "Evaluated")} if trained else {}
    return Known(name, "2026-01-01T00:00:00Z", True, True, package, conditions, **more)


def options(job: Manifest, option: str) -> list[str]:
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    return [command[place + 1] for place, word in enumerate(command) if word == option]


def test_a_version_is_recorded_before_it_is_deleted() -> None:
    first = decide([], ["a"], [known("a", "sha256:a"), known("b")], ["a", "b"], NOTHING)
    assert first.leaving == (Leaving(version="a", package="sha256:a"),)
    assert (first.delete, first.versions) == ((), ())
    second = decide(first.leaving, ["a"], [known("a", "sha256:a"), known("b")], ["a", "b"], NOTHING)
    assert (second.delete, second.versions) == (("a",), ())
    terminating = decide(second.leaving, [], [known("b")], ["a", "b"], NOTHING)
    assert terminating.versions == ()
    gone = decide(second.leaving, [], [known("b")], ["b"], NOTHING)
    assert (gone.versions, gone.packages) == (("a",), ("sha256:a",))
    assert pruning.done(gone) == ()


@pytest.mark.parametrize(
    ("others", "plan"),
    [
        ([known("b", "sha256:a")], NOTHING),
        ([], Plan("x", (PlannedVersion("x", "sha256:a", "repo", "uri"),), ())),
    ],
)
def test_a_package_that_is_shared_or_held_stays(others: list[Known], plan: Plan) -> None:
    found = decide([Leaving(version="a", package="sha256:a")], [], others, [], plan)
    assert (found.versions, found.packages) == (("a",), ())


def test_a_parent_in_use_stays() -> None:
    tuned = known("t", trained=False, parent=ParentStatus(version="a", package="sha256:a"))
    assert in_use([tuned], NOTHING) == {"sha256:a"}
    packaged = known("t", "sha256:t", parent=ParentStatus(version="a", package="sha256:a"))
    assert in_use([packaged], NOTHING) == {"sha256:t"}


def test_nothing_goes_while_something_is_trained() -> None:
    found = decide([Leaving(version="a", package="sha256:a")], [], [known("b", trained=False)], [], NOTHING)
    assert found.versions == ()
    assert len(found.leaving) == 1


def test_a_version_that_came_back_keeps_its_files() -> None:
    assert decide([Leaving(version="a", package="sha256:a")], [], [known("a")], ["a"], NOTHING).leaving == ()


@given(st.integers(0, 60))
def test_more_than_can_be_recorded_wait_their_turn(count: int) -> None:
    names = [f"v{number}" for number in range(count)]
    found = decide([], names, [known(name) for name in names], names, NOTHING)
    assert len(found.leaving) == min(count, MAX_LEAVING)
    assert found.delete == ()


async def aged(keep: int = 0) -> World:
    """A stack that went through four recipes, with room for one."""
    rollout = {"historyLimit": 1, "keepLoaded": keep}
    world = World({"rollout": rollout})
    await world.settle()
    for seed in range(3):
        world.edit({"rollout": rollout, "training": {"seed": seed}})
        await world.settle()
    return world


async def test_files_go_after_the_versions_and_live_ones_never() -> None:
    world = await aged()
    jobs = [one for one in world.cluster.all("Job") if "-prune-" in one["metadata"]["name"]]
    deleted = {name for job in jobs for name in options(job, "--version")}
    packages = {name for job in jobs for name in options(job, "--package")}
    assert len(deleted) == 2
    assert packages == {f"sha256:{name}" for name in deleted}
    assert not deleted & set(world.versions())
    assert world.plan.live not in deleted
    for job in jobs:
        assert options(job, "--stack") == [f"{SPACE}/{STACK}"]
        assert options(job, "--work") == ["/work"]
    assert world.cluster.find("RecommenderStack", STACK)["status"]["leaving"] == []
    assert await world.round() == 0


@pytest.mark.parametrize("cut", range(1, 9))
async def test_an_operator_that_is_killed_forgets_no_package(cut: int) -> None:
    rollout = {"historyLimit": 1, "keepLoaded": 0}
    world = World({"rollout": rollout})
    await world.settle()
    for seed in range(3):
        world.edit({"rollout": rollout, "training": {"seed": seed}})
        for _ in range(40):
            world.finish_jobs()
            world.serve()
            world.cluster.clock.forward(5)
            world.cluster.cut_after = cut
            with contextlib.suppress(Cut):
                await world.round()
            world.cluster.cut_after = None
        await world.settle()
    jobs = [one for one in world.cluster.all("Job") if "-prune-" in one["metadata"]["name"]]
    deleted = [name for job in jobs for name in options(job, "--package")]
    assert len(set(deleted)) == 2
    assert not {f"sha256:{name}" for name in world.versions()} & set(deleted)
