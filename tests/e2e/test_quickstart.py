"""The main job: from one apply to recommendations, through the deaths of all that can die, to nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from recstack_demo.main import operator_usage
from story import OPERATOR, Story, ids, recommend

SPEC: dict[str, Any] = {
    "data": {
        "source": {"synthetic": {"users": 1000, "items": 400, "interactions": 40_000, "days": 6}},
        "window": {"trainDays": 4, "evaluationDays": 2},
    },
    "models": {"retrieval": {"batchSize": 512, "epochs": 3}, "ranking": {"batchSize": 4096, "epochs": 2}},
    "evaluation": {"gates": [{"metric": "recall@10/popularity", "min": 1.2}, {"metric": "auc", "min": 0.55}]},
    "serving": {"candidates": 100, "topK": 50, "trending": {"candidates": 5, "coldCandidates": 20}},
    "stores": {"feast": {}},
}
PASSWORD = "$(sed -n 's/^requirepass //p' /etc/valkey/valkey.conf)"
COUNT_KEYS = f"valkey-cli --no-auth-warning -a {PASSWORD} dbsize"
NOON, NIGHT = 1_704_715_200, 1_704_758_400


def test_quickstart(story: Story, leader: Callable[[], str]) -> None:
    story.stack("shop", SPEC)
    kill_leader_while_training(story, leader)
    story.ready("shop")
    kubectl_sees_it(story)
    features_are_online(story)
    with story.gateway("shop") as client:
        first = people_get_different_lists(story, client)
        what_was_bought_is_not_shown_again(story, client)
        what_many_buy_is_shown_to_newcomers(story, client)
    settled_costs_no_write(story)
    operator_stays_small(story)
    all_pods_die(story, first)
    another_recipe_takes_over_without_a_failed_request(story)
    a_pin_brings_the_version_before_back_at_once(story)
    story.gone("shop")
    nothing_of_it_is_on_the_node(story)


def kill_leader_while_training(story: Story, leader: Callable[[], str]) -> None:
    def training() -> bool:
        steps = [s for v in story.versions("shop") for s in v.get("status", {}).get("steps", [])]
        return any(s["name"] == "train-retrieval" and s["state"] == "Running" for s in steps)

    story.until("train-retrieval runs", training, 240)
    old = leader()
    story.tell(f"kill the leading operator, {old}, at once")
    story.cluster.kube("-n", OPERATOR, "delete", "pod", old, "--grace-period=0", "--force")
    began = time.monotonic()
    new = story.until("another leads", lambda: (name := leader()) and name != old and name, 30)
    story.tell(f"{new} leads after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began <= 15


def kubectl_sees_it(story: Story) -> None:
    story.tell(story.kube("get", "rstack,mver").strip())
    story.kube("wait", "--for=condition=Ready", "rstack/shop", "--timeout=5s")
    row = story.kube("get", "rstack", "shop", "--no-headers").split()
    assert row[0] == "shop"
    assert "True" in row
    version = story.versions("shop")[0]
    assert version["metadata"]["name"] in row
    assert {c["type"]: c["status"] for c in version["status"]["conditions"]}["Live"] == "True"
    metrics = version["status"]["metrics"]
    assert metrics["recall@10/popularity"] >= 1.2
    reasons = {event["reason"] for event in story.get("events")["items"]}
    assert {"TrainingStarted", "StepSucceeded", "Live"} <= reasons


def features_are_online(story: Story) -> None:
    found = story.condition("rstack", "shop", "FeaturesReady")
    story.tell(found["message"])
    assert (found["status"], found["reason"]) == ("True", "Materialized")
    keys = int(story.kube("exec", "sts/shop-valkey", "--", "sh", "-c", COUNT_KEYS).strip())
    story.tell(f"{keys} keys in the online store, of 1000 users and 400 items")
    assert keys >= 1400


def people_get_different_lists(story: Story, client: httpx.Client) -> dict[str, Any]:
    known = recommend(client, 1, device_type=0, timestamp=NOON)
    unknown = recommend(client, 999_999, device_type=0, timestamp=NOON)
    nobody = recommend(client, None, device_type=0, timestamp=NOON)
    for who, reply in (("user 1", known), ("an unknown user", unknown), ("nobody", nobody)):
        story.tell(f"{who}: {', '.join(str(item['title']) for item in reply['items'][:4])}, …")
        assert len(set(ids(reply))) == 10
        scores = [item["score"] for item in reply["items"]]
        assert scores == sorted(scores, reverse=True)
        assert reply["version"] == story.versions("shop")[0]["metadata"]["name"]
    assert ids(known) != ids(unknown)
    other_device = recommend(client, 1, device_type=1, timestamp=NOON)
    other_time = recommend(client, 1, device_type=0, timestamp=NIGHT)
    assert [i["score"] for i in other_device["items"]] != [i["score"] for i in known["items"]]
    assert [i["score"] for i in other_time["items"]] != [i["score"] for i in known["items"]]
    refused = client.post("/v1/recommend", json={"user_id": "one"})
    assert refused.status_code in {400, 422}
    assert refused.headers["content-type"].startswith("application/problem+json")
    return known


def what_was_bought_is_not_shown_again(story: Story, client: httpx.Client) -> None:
    shown = ids(recommend(client, 2))
    event = {"event_id": "e-1", "user_id": 2, "item_id": shown[0], "type": "purchase"}
    assert client.post("/v1/events", json={"events": [event]}).status_code < 300
    after = ids(recommend(client, 2))
    story.tell(f"user 2 bought {shown[0]}; the list now begins with {after[0]}")
    assert shown[0] not in after
    assert len(after) == 10
    assert client.delete("/v1/users/2/state").status_code < 300
    assert shown[0] in ids(recommend(client, 2))


def what_many_buy_is_shown_to_newcomers(story: Story, client: httpx.Client) -> None:
    least = ids(recommend(client, None, k=50))[-1]
    unseen = next(item for item in range(1, 400) if item not in ids(recommend(client, None, k=50)))
    events = [
        {"event_id": f"many-{user}", "user_id": user, "item_id": unseen, "type": "purchase"}
        for user in range(500, 600)
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 202
    began = time.monotonic()

    def told() -> bool:
        answer = client.post("/v1/recommend", json={"user_id": None, "k": 50, "explain": True}).json()
        counts = answer["explain"]["candidates"]
        return bool(counts["trending"] > 0)

    story.until("what many bought is among a newcomer's candidates", told, 20)
    story.tell(f"item {unseen}, after {time.monotonic() - began:.1f} s; item {least} was the last before")


def _written(story: Story) -> dict[str, str]:
    found = story.get("rstack,mver,deploy,sts,svc,secret,cm,sa,role,rolebinding,pdb,netpol,job,pvc")
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in found["items"]
    }


def settled_costs_no_write(story: Story) -> None:
    before = _written(story)
    story.tell(f"20 s of nothing to do, for {len(before)} objects")
    time.sleep(20)
    assert _written(story) == before


def operator_stays_small(story: Story) -> None:
    found = operator_usage(story.cluster)
    story.tell(f"operator: {found['residentMiB']} MiB resident, {found['cpuPercent']} % of a CPU while idle")
    assert found["residentMiB"] <= 150


def all_pods_die(story: Story, first: dict[str, Any]) -> None:
    story.tell("delete every pod of the namespace at once")
    story.kube("delete", "pod", "-l", "recstack.dev/stack=shop", "--grace-period=0", "--force")
    story.until(
        "the stack says that it is not ready", lambda: not story.is_true("rstack", "shop", "Ready"), 30
    )
    story.ready("shop", 180)
    with story.gateway("shop") as client:
        assert ids(recommend(client, 1, device_type=0, timestamp=NOON)) == ids(first)


@contextmanager
def asking_all_the_time(story: Story) -> Iterator[list[tuple[int, str]]]:
    """Ask ten times a second until the block ends; gives (HTTP status, version) of each answer."""
    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        with story.gateway("shop") as client:
            while not stop.wait(0.1):
                answer = client.post("/v1/recommend", json={"user_id": len(answers) % 1000})
                answers.append((answer.status_code, answer.json().get("version", "")))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def another_recipe_takes_over_without_a_failed_request(story: Story) -> None:
    old = story.versions("shop")[0]["metadata"]["name"]
    with asking_all_the_time(story) as answers:
        story.stack("shop", SPEC | {"training": {"seed": 1}})
        story.until("the second version trains", lambda: len(story.versions("shop")) == 2, 30)
        second = story.versions("shop")[-1]["metadata"]["name"]
        time.sleep(5)
        story.tell("the spec is changed again, in the middle of the training")
        story.stack("shop", SPEC | {"training": {"seed": 2}})
        story.until(
            "the third version is live",
            lambda: (
                len(story.versions("shop")) >= 2
                and story.live("shop") not in {"", old}
                and story.is_true("rstack", "shop", "Ready")
            ),
            600,
        )
        time.sleep(3)
    served = [version for _, version in answers]
    live = story.live("shop")
    story.tell(
        f"{len(answers)} requests meanwhile: {served.count(old)} by {old}, {served.count(live)} by {live}"
    )
    assert [status for status, _ in answers if status != 200] == []
    assert second not in served
    assert set(served) == {old, live}
    assert served == sorted(served, key=lambda version: version == live)


def a_pin_brings_the_version_before_back_at_once(story: Story) -> None:
    status = story.get("rstack", "shop")["status"]
    live, before = status["liveVersion"], status["history"][1]["version"]
    with story.gateway("shop") as client:
        for wanted, pin in ((before, before), (live, None)):
            began = time.monotonic()
            story.patch("shop", {"rollout": {"pin": pin}})
            while recommend(client, 1)["version"] != wanted:
                assert time.monotonic() - began < 30, story.account()
                time.sleep(0.05)
            taken = time.monotonic() - began
            story.tell(f"{wanted} answers after {taken:.1f} s")
            assert taken <= 5
    story.ready("shop", 60)


def nothing_of_it_is_on_the_node(story: Story) -> None:
    story.until(
        "its volumes are gone",
        lambda: (
            not [
                volume
                for volume in story.cluster.get("pv")["items"]
                if volume["spec"]["claimRef"]["namespace"] == story.namespace
            ]
        ),
        60,
    )
