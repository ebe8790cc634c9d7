"""memoryFallback: Surge: pods are replaced for a version that has no room beside the live one."""

from typing import Any

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from world import STACK, World

SURGE = {"memoryFallback": "Surge"}


def spec(seed: int, **rollout: Any) -> Manifest:
    return {"training": {"seed": seed}, "rollout": rollout}


async def on_its_way(**rollout: Any) -> tuple[World, str, str]:
    """A live version, and a second one that pods are told of."""
    world = World(spec(1, **rollout))
    await world.settle()
    old = world.plan.live or ""
    world.edit(spec(2, **rollout))
    while world.plan.candidate is None:
        await world.round()
        world.finish_jobs()
    return world, old, world.wanted()


def started(world: World) -> str | None:
    """The surge that new pods are told they were started for."""
    template = world.cluster.find("Deployment", names.gateway(STACK))["spec"]["template"]
    (gateway,) = (one for one in template["spec"]["containers"] if one["name"] == "gateway")
    return next((one["value"] for one in gateway["env"] if one["name"] == "RECSTACK_SURGE"), None)


async def cramped(**rollout: Any) -> tuple[World, str, str]:
    """One pod has no room for the second version, and said so."""
    world, old, new = await on_its_way(**rollout)
    world.report(1, "NoRoom", new)
    await world.round()
    return world, old, new


async def test_pods_are_replaced_until_all_hold_the_new_version() -> None:
    world, old, new = await cramped(**SURGE)
    begun = started(world)
    assert begun is not None
    assert begun.rpartition("/")[0] == new
    assert world.plan.surge == begun
    assert (world.plan.live, world.condition("Ready")["reason"]) == (old, "Loading")
    assert "replaced one by one" in world.condition("ModelReady")["message"]
    assert world.condition("Stalled")["status"] == "False"
    await world.round()  # the Deployment has other pods now, which is told
    assert await world.round() == 0, "it waits for the Deployment, and writes nothing"
    await world.settle()  # the new pods prove it
    assert (world.plan.live, world.plan.surge) == (new, "")
    assert started(world) == begun, "pods are not replaced once more when it is done"
    assert world.condition("Ready")["status"] == "True"
    assert await world.round() == 0


async def test_pods_of_an_earlier_surge_take_no_part_in_another() -> None:
    world, old, new = await cramped(**SURGE)
    first = started(world)
    await world.settle()
    world.report(1, "NoRoom", old)
    world.edit(spec(2, **SURGE, pin=old))
    await world.round()
    back = started(world)
    await world.settle()
    assert world.plan.live == old
    world.report(1, "NoRoom", new)
    world.edit(spec(2, **SURGE))
    await world.round()
    assert len({first, back, started(world), None}) == 4
    await world.settle()
    assert world.plan.live == new


async def test_a_surge_that_is_called_off_ends() -> None:
    world, old, _ = await cramped(**SURGE)
    world.edit(spec(1, **SURGE))
    await world.round()
    assert (world.plan.live, world.plan.surge, world.plan.candidate) == (old, "", None)


async def test_nobody_is_replaced_while_there_is_room_or_without_being_asked() -> None:
    world, _, new = await on_its_way(**SURGE)
    await world.settle()
    assert (world.plan.live, started(world)) == (new, None)
    world, _, new = await cramped()
    assert started(world) is None
    assert world.condition("Ready")["reason"] == "NoMemoryHeadroom"
    said: Manifest = world.condition("Loaded", "ModelVersion", new)
    assert "memoryFallback to Surge" in said["message"]
