"""Operators that are not compiled: what is said of them, and that pods have NVTabular meanwhile."""

from world import World

SEED = {"training": {"seed": 2}}
BESIDE = [{"feature": "age_root", "operator": "LambdaOp numpy:cbrt"}]


def containers(world: World) -> list[str]:
    spec = world.cluster.find("Deployment", "retail-serving")["spec"]["template"]["spec"]
    return [one["name"] for one in spec["containers"]]


async def test_what_is_compiled_needs_nothing_beside() -> None:
    world = World()
    await world.settle()
    found = world.condition("Compiled", "ModelVersion", world.plan.live or "")
    assert (found["status"], found["reason"]) == ("True", "Compiled")
    assert containers(world) == ["triton", "gateway"]


async def test_what_is_not_compiled_is_said_and_has_nvtabular_beside() -> None:
    world = World(not_compiled=BESIDE)
    await world.settle()
    live = world.plan.live
    assert live is not None
    found = world.condition("Compiled", "ModelVersion", live)
    assert (found["status"], found["reason"]) == ("False", "NVTabular")
    assert "age_root (LambdaOp numpy:cbrt)" in found["message"]
    assert world.condition("Ready", "ModelVersion", live)["status"] == "True"
    assert containers(world) == ["triton", "gateway", "nvtabular"]


async def test_pods_lose_it_with_the_last_version_that_needs_it() -> None:
    world = World({"rollout": {"keepLoaded": 1}}, not_compiled=BESIDE)
    await world.settle()
    world.not_compiled = []
    world.edit({"rollout": {"keepLoaded": 1}} | SEED)
    await world.settle()
    assert len(world.plan.kept) == 1
    assert "nvtabular" in containers(world)
    world.edit({"rollout": {"keepLoaded": 0}} | SEED)
    await world.settle()
    assert containers(world) == ["triton", "gateway"]
