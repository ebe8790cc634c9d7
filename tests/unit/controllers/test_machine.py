"""Random interleavings of people, Jobs, pods and killed operators: what must always hold."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import hypothesis.strategies as st
from fake_cluster import Cut
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.configmaps import Plan
from world import STACK, World

PODS = st.integers(1, 2)
WRITES = st.one_of(st.none(), st.integers(1, 12))
SOAK = {"duration": "30s", "minRequests": 50, "maxErrorRate": 0.05}
STRATEGIES: list[Manifest] = [
    {},
    {"soak": SOAK},
    {"strategy": {"type": "Canary", "canary": {"steps": [{"weight": 10, "pause": "5s"}, {"weight": 60}]}}},
    {"strategy": {"type": "Canary", "canary": {"steps": [{"weight": 30, "pause": "3s"}]}}, "soak": SOAK},
    {"strategy": {"type": "Shadow", "shadow": {"fraction": 0.5, "duration": "5s"}}, "soak": SOAK},
]
GOOD = {"requests": 100, "errors": 0, "mirrored": 60, "overlap": 30.0}
"""A pod that counted this, and one in which most requests failed."""
BAD = GOOD | {"errors": 90}


class Stack(RuleBasedStateMachine):
    """``told``: plans as they were written, so that each move of live can be judged."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.spec(0, False))
        self.world.cluster.on_apply = self.judge

    @initialize(live=st.sampled_from([False, True, True]))
    def begin(self, live: bool) -> None:
        if live:
            asyncio.run(self.world.settle())

    @staticmethod
    def spec(seed: int, suspend: bool, pin: str | None = None, keep: int = 1, way: int = 0) -> Manifest:
        rollout = {"keepLoaded": keep} | STRATEGIES[way] | ({"pin": pin} if pin else {})
        return {
            "serving": {"replicas": 2},
            "training": {"seed": seed},
            "suspend": suspend,
            "rollout": rollout,
        }

    def judge(self, manifest: Manifest) -> None:
        """Whatever moves live must have been told to the pods before, be packaged, and be proven by all."""
        if manifest["kind"] == "Job":
            labels = manifest["metadata"]["labels"]
            version = self.world.cluster.find("ModelVersion", labels[names.VERSION])
            steps = {one["name"]: one["state"] for one in (version.get("status") or {}).get("steps", [])}
            assert steps.get(labels[names.STEP]) != "Succeeded"
        if manifest["metadata"]["name"] != names.plan(STACK):
            return
        new, old = json.loads(manifest["data"]["plan.json"]), self.world.plan
        before = self.world.plan_generation()
        content = (new["live"], [one["name"] for one in new["versions"]], new["drain"])
        same = content == (old.live, [one.name for one in old.versions], list(old.drain))
        assert new["generation"] in ((before, before + 1) if same else (before + 1,))
        self.judge_tries(new, old)
        for one in new["versions"]:
            if one["name"] not in {known.name for known in old.versions}:
                for type in ("Evaluated", "Packaged"):
                    assert self.world.condition(type, "ModelVersion", one["name"])["status"] == "True"
        if new["live"] == old.live:
            return
        assert new["live"] in {one.name for one in old.versions}
        taken_back = {one["version"] for one in new.get("rolledBack", [])}
        if old.live in taken_back and old.rollout is not None:
            # The one before, which pods still hold; they go back to it as they stand.
            assert new["live"] == old.rollout.previous
            assert new["live"] in old.kept
            return
        pin = self.world.cluster.find("RecommenderStack", STACK)["spec"]["rollout"].get("pin")
        assert pin in (None, new["live"])
        digest = next(one["digest"] for one in new["versions"] if one["name"] == new["live"])
        version = self.world.cluster.find("ModelVersion", new["live"])
        assert version["status"]["package"] == digest
        assert self.world.condition("Packaged", "ModelVersion", new["live"])["status"] == "True"
        self.all_proved(new["live"], digest)

    def all_proved(self, version: str, digest: str) -> None:
        said = list(self.world.cluster.answers.values())
        assert said
        for one in said:
            assert (one[version]["state"], one[version]["digest"]) == ("Proven", digest)

    def judge_tries(self, new: Manifest, old: Plan) -> None:
        """A version gets requests, or copies of them, only when pods were told of it and all proved it."""
        held = {one["name"]: one["digest"] for one in new["versions"]}
        tried = {one["version"] for one in new.get("routes", [])}
        tried |= {new["mirror"]["version"]} if "mirror" in new else set()
        assert tried <= set(held) - {new["live"]}
        before = {one.version for one in old.routes} | ({old.mirror.version} if old.mirror else set())
        for name in tried - before:
            assert name in {one.name for one in old.versions}
            self.all_proved(name, held[name])
        refused = {one["version"]: one["promoted"] for one in new.get("rolledBack", [])}
        stack = self.world.cluster.find("RecommenderStack", STACK)
        for name in set(held) & set(refused):
            raise AssertionError(f"{name} was rolled back and is tried again: {stack['spec']}")
        for one in old.rolled_back:
            if one.version in held and one.version != stack["spec"]["rollout"].get("pin"):
                version = self.world.cluster.find("ModelVersion", one.version)
                word = (version["metadata"].get("annotations") or {}).get(names.PROMOTE, "")
                assert word != one.promoted

    def run(self, what: Callable[[], Coroutine[Any, Any, Any]], cut: int | None) -> None:
        self.world.cluster.clock.forward(1)
        self.world.cluster.cut_after = cut
        try:
            asyncio.run(what())
        except Cut:
            pass
        finally:
            self.world.cluster.cut_after = None

    @rule(cut=WRITES)
    def reconcile_stack(self, cut: int | None) -> None:
        self.run(self.world.stack, cut)

    @rule(cut=WRITES)
    def reconcile_all(self, cut: int | None) -> None:
        self.run(self.world.round, cut)

    @rule()
    def nothing_else_happens_for_a_while(self) -> None:
        """Then no Job runs for a recipe that is no longer asked for; one that is pinned is asked for.

        While suspended no other version is made, and a step that runs may end.
        """
        for _ in range(3):
            self.run(self.world.round, None)
        running = {
            job["metadata"]["labels"][names.VERSION]
            for job in self.world.cluster.all("Job")
            if not job.get("status")
        }
        stack = self.world.cluster.find("RecommenderStack", STACK)
        if not stack["spec"]["suspend"]:
            assert running <= {self.world.wanted(), stack["spec"].get("rollout", {}).get("pin")}

    @rule(which=st.integers(0, 3))
    def person_deletes_a_version(self, which: int) -> None:
        for name in self.world.versions()[which : which + 1]:
            self.world.cluster.remove("ModelVersion", name)

    @rule(good=st.sampled_from([True, True, True, False]))
    def jobs_end(self, good: bool) -> None:
        self.world.finish_jobs(*(() if good else (137, "OOMKilled", "Killed")))

    @rule()
    def ended_jobs_vanish(self) -> None:
        for job in self.world.cluster.all("Job"):
            if job.get("status"):
                self.world.cluster.remove("Job", job["metadata"]["name"])

    @rule()
    def a_version_is_trained(self) -> None:
        """Chance alone seldom ends six Jobs in a row."""
        self.run(self.train, None)

    async def train(self) -> None:
        for _ in range(8):
            await self.world.round()
            self.world.finish_jobs()

    @rule(seed=st.integers(0, 2), way=st.integers(1, len(STRATEGIES) - 1))
    def another_version_is_tried(self, seed: int, way: int) -> None:
        self.world.edit(self.spec(seed, False, way=way))
        for _ in range(14):
            self.world.finish_jobs()
            self.world.serve()
            self.run(self.world.round, None)
            rollout = self.world.plan.rollout
            if rollout is not None and rollout.phase != "Loading":
                return

    @rule(passes=st.integers(1, 6), cut=WRITES)
    def all_goes_well_for_a_while(self, passes: int, cut: int | None) -> None:
        """Nor does it often bring a version to where it is live, or tried."""
        for number in range(passes):
            self.world.finish_jobs()
            self.world.serve()
            self.run(self.world.round, cut if number == passes - 1 else None)

    @rule(pod=PODS)
    def pod_starts(self, pod: int) -> None:
        self.world.pod(pod)

    @rule(pod=PODS)
    def pod_dies(self, pod: int) -> None:
        self.world.kill(pod)

    @rule(pod=PODS, state=st.sampled_from(["Pulling", "Loading", "Proving", "Proven", "Proven", "Failed"]))
    def pod_reports(self, pod: int, state: str) -> None:
        if self.world.url(pod) in self.world.cluster.answers:
            self.world.report(pod, state)

    @rule(
        seed=st.integers(0, 2),
        suspend=st.sampled_from([False, False, True]),
        pin=st.sampled_from([None, None, 0, 1, "gone"]),
        keep=st.integers(0, 1),
        way=st.integers(0, len(STRATEGIES) - 1),
    )
    def person_edits(self, seed: int, suspend: bool, pin: int | str | None, keep: int, way: int) -> None:
        there = self.world.versions()
        if isinstance(pin, int):
            pin = there[pin] if pin < len(there) else None
        self.world.edit(self.spec(seed, suspend, pin, keep, way))

    @rule(bad=st.sampled_from([False, False, True]), cut=WRITES)
    def people_come(self, bad: bool, cut: int | None) -> None:
        """Every pod counts requests of the version that is to take over, some of which may fail."""
        if self.world.plan.rollout is not None:
            self.world.traffic = {self.world.plan.rollout.version: BAD if bad else GOOD}
            for pod in (1, 2):
                if self.world.url(pod) in self.world.cluster.answers:
                    self.world.report(pod)
            self.run(self.world.round, cut)

    @rule(seconds=st.sampled_from([1, 5, 60, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.cluster.clock.forward(seconds)

    @rule(which=st.integers(0, 2), word=st.sampled_from(["true", "again"]))
    def person_promotes(self, which: int, word: str) -> None:
        for name in self.world.versions()[which : which + 1]:
            found = self.world.cluster.find("ModelVersion", name)
            found["metadata"].setdefault("annotations", {})[names.PROMOTE] = word

    @invariant()
    def plan_is_sound(self) -> None:
        plan = self.world.plan
        planned = [one.name for one in plan.versions]
        assert len(planned) == len(set(planned)) <= 2
        assert plan.live is None or plan.live in planned
        assert not set(plan.drain) & set(planned)
        for one in plan.versions:
            assert ("ConfigMap", "shop", one.repo) in self.world.cluster.objects

    @invariant()
    def conditions_speak_of_what_was_looked_at(self) -> None:
        for kind in ("RecommenderStack", "ModelVersion"):
            for found in self.world.cluster.all(kind):
                status = found.get("status") or {}
                seen = {one["observedGeneration"] for one in status.get("conditions", [])}
                assert seen <= {status.get("observedGeneration")}

    def teardown(self) -> None:
        """Left alone with good luck, it comes to rest at its spec, whatever was before."""
        world = self.world
        world.traffic = {}
        world.edit(self.spec(0, False))
        for version in world.cluster.all("ModelVersion"):  # those taken back get another try
            version["metadata"].setdefault("annotations", {})[names.PROMOTE] = (
                f"at {world.cluster.clock.now()}"
            )
        asyncio.run(self.rest())
        assert world.condition("Ready")["status"] == "True"
        assert (
            world.condition("Ready")["observedGeneration"]
            == (world.cluster.find("RecommenderStack", STACK)["metadata"]["generation"])
        )
        assert world.condition("Live", "ModelVersion", world.plan.live or "")["status"] == "True"
        live = [
            name
            for name in world.versions()
            if world.condition("Live", "ModelVersion", name).get("status") == "True"
        ]
        assert live == [world.plan.live]
        assert asyncio.run(world.round()) == 0

    async def rest(self) -> None:
        await self.world.settle()
        # A Job that failed for good is tried again when a person deletes it.
        for job in self.world.cluster.all("Job"):
            if job["status"]["conditions"][0]["type"] == "Failed":
                self.world.cluster.remove("Job", job["metadata"]["name"])
        await self.world.settle()


SETTINGS = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStack = Stack.TestCase
TestStack.settings = SETTINGS
