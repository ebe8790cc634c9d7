"""What works off events: there unless spec.events says no."""

from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import events
from recstack_controllers.resources.stack import Stack
from recstack_crds.v1alpha1 import RecommenderStackSpec
from world import SETTINGS, World

NAMES = ("Deployment", "NetworkPolicy")


def told(spec: Manifest) -> Manifest:
    stack = Stack("shop", "retail", "uid-1", RecommenderStackSpec.model_validate(spec), SETTINGS)
    found = events.settings(stack)
    assert found is not None
    return found


async def test_events_off_takes_its_pod_away_and_says_so_in_the_plan() -> None:
    world = World()
    await world.settle()
    assert all(world.cluster.find(kind, "retail-events") for kind in NAMES)
    assert world.condition("EventsReady")["status"] == "True"
    world.edit({"events": {"enabled": False}})
    await world.settle()
    assert not [kind for kind in NAMES if (kind, "shop", "retail-events") in world.cluster.objects]
    assert world.condition("EventsReady") == {}
    assert world.condition("Ready")["status"] == "True"
    assert '"events": null' in world.cluster.find("ConfigMap", "retail-plan")["data"]["plan.json"]


async def test_a_stack_whose_events_wait_is_not_ready_and_serves() -> None:
    world = World()
    await world.settle()
    worker = world.cluster.find("Deployment", "retail-events")
    worker["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    await world.round()
    assert world.condition("EventsReady")["reason"] == "EventsPodNotReady"
    assert world.condition("ServingReady")["status"] == "True"
    assert world.condition("Ready")["reason"] == "EventsPodNotReady"


def test_the_plan_tells_columns_and_seconds() -> None:
    plan = told({})
    assert plan["types"] == {"view": 1, "cart": 5, "purchase": 10}
    assert (plan["trendingHalfLifeSeconds"], plan["retentionSeconds"]) == (86_400, 2_592_000)
    assert plan["trendingBy"] == ["category_l1"]
    by = told({"serving": {"trending": {"by": ["category_l2", "item_gender"]}}})
    assert by["trendingBy"] == ["category_l2", "item_gender"]


def test_what_follows_from_behaviour_is_for_stacks_with_a_feature_store() -> None:
    assert told({})["behaviour"] is None
    with_store: Manifest = {"stores": {"feast": {"ttl": "7d"}}}
    assert told(with_store | {"events": {"behaviourWindow": "36h"}})["behaviour"] == {
        "project": "recstack_shop_retail",
        "joinKey": "user_id",
        "columns": ["gender", "top_category", "age"],
        "derived": {"top_category": "category_l1"},
        "windowSeconds": 129_600,
        "ttlSeconds": 604_800,
    }
    plain = {"user": [{"name": "gender", "column": "gender", "ops": [{"op": "Categorify"}]}]}
    assert told(with_store | {"features": plain})["behaviour"] is None
