"""The operator's real process on a real API server, with no more rights than the chart gives it.

Jobs, pods and Deployments are played by hand, as nothing else runs on this server.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import of, render
from hands import Hands
from kube import Kube, Thing
from operator_process import OperatorProcess, until
from recstack_controllers import kinds
from recstack_controllers.kit import names, ownership
from recstack_controllers.kit.cluster import Kind
from recstack_controllers.resources.steps import Step
from recstack_operator.lease import LOST

PLAIN = [step for step in Step if step not in (Step.PARENT, Step.EMBED)]
"""Of a version from nothing, of a stack without embeddings."""
STACK, HOME = "shop", "recstack-system"
PATIENCE = 120.0
"""Seconds for what has no time of its own to keep: other work may slow the machine."""
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
Start = Callable[[str], OperatorProcess]


def installed(kube: Kube, folder: Path, *values: str) -> tuple[Path, dict[str, str]]:
    """Install the chart without its pods; gives what those would get: a token, and their environment."""
    objects = render(folder, HOME, *values)
    (deployment,) = of(objects, "Deployment")
    kube.try_kubectl("create", "namespace", HOME)
    rest = [one for one in objects if one["kind"] not in {"Deployment", "CustomResourceDefinition"}]
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(rest))
    pod = deployment["spec"]["template"]["spec"]
    environment = {one["name"]: one["value"] for one in pod["containers"][0]["env"] if "value" in one}
    token = kube.kubectl("-n", HOME, "create", "token", pod["serviceAccountName"]).strip()
    cluster = {"server": kube.server, "certificate-authority-data": kube.authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": HOME}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path, environment | {"POD_NAMESPACE": HOME}


@pytest.fixture
def values() -> tuple[str, ...]:
    """Values of the chart."""
    return ()


@pytest.fixture
def start(kube: Kube, space: str, tmp_path: Path, values: tuple[str, ...]) -> Iterator[Start]:
    """Start replicas of the operator, which are stopped at the end; none may have met a refusal."""
    kubeconfig, environment = installed(kube, tmp_path, *(value.format(space=space) for value in values))
    running: list[OperatorProcess] = []

    def begin(identity: str) -> OperatorProcess:
        running.append(OperatorProcess(kubeconfig, environment, identity, tmp_path / f"{identity}.log"))
        return running[-1]

    yield begin
    for one in running:
        one.close()
    for one in running:
        text = one.log.read_text()
        assert "forbidden" not in text, text
        assert "a defect of the operator" not in text, text
        assert "Traceback" not in text, text


@pytest.fixture
def hands(kube: Kube, space: str) -> Iterator[Hands]:
    found = Hands(kube, space)
    with found.at_work():
        yield found


class Shop:
    """The stack under test."""

    def __init__(self, kube: Kube, space: str) -> None:
        self._kube, self._space = kube, space

    def make(self, spec: Thing) -> None:
        self._kube.create(kinds.RECOMMENDER_STACK, self._space, {"metadata": {"name": STACK}, "spec": spec})

    def change(self, spec: Thing) -> None:
        self._kube.patch(kinds.RECOMMENDER_STACK, self._space, STACK, {"spec": spec})

    def read(self) -> Thing:
        return self._kube.get(kinds.RECOMMENDER_STACK, self._space, STACK) or {}

    def is_ready(self) -> bool:
        """Ready, and of the present spec."""
        found = self._kube.condition(kinds.RECOMMENDER_STACK, self._space, STACK, "Ready")
        generation = self.read()["metadata"]["generation"]
        return found.get("status") == "True" and found["observedGeneration"] == generation

    def live(self) -> str:
        return str((self.read().get("status") or {}).get("liveVersion") or "")

    def versions(self) -> list[str]:
        return [one["metadata"]["name"] for one in self._kube.list(kinds.MODEL_VERSION, self._space)]

    def job(self, step: Step) -> Thing | None:
        """The first Job of a step, when it is there."""
        found = self._kube.list(kinds.JOB, self._space, {names.STEP: step.value})
        return found[0] if found else None

    def children(self) -> dict[tuple[str, str], str]:
        """resourceVersions of everything in the namespace that the operator may write."""
        return {
            (kind.kind, one["metadata"]["name"]): one["metadata"]["resourceVersion"]
            for kind in (kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION, *kinds.CHILDREN)
            for one in self._kube.list(kind, self._space)
        }

    def writers(self) -> set[str]:
        """Field managers of the stack's status and of its children."""
        kept = {kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION, *kinds.CHILDREN}
        return {
            field["manager"]
            for kind in kept
            for one in self._kube.list(kind, self._space, {names.STACK: STACK})
            for field in one["metadata"].get("managedFields", [])
            if field["operation"] == "Apply"
        }


@pytest.fixture
def shop(kube: Kube, space: str) -> Shop:
    return Shop(kube, space)


def ready(shop: Shop) -> None:
    until("the stack is Ready", shop.is_ready, PATIENCE)


def lease(kube: Kube) -> Thing:
    found = kube.get(LEASE, HOME, "recstack-operator")
    assert found is not None
    spec: Thing = found["spec"]
    return spec


def test_a_stack_becomes_live_and_then_costs_nothing(
    start: Start, hands: Hands, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = start("one")
    shop.make({"serving": {"replicas": 2}})
    ready(shop)
    (version,) = shop.versions()
    assert shop.live() == version == hands.plan().live
    assert [len(lives) for lives in hands.jobs.values()] == [1] * len(PLAIN)
    assert operator.status("/healthz") == operator.status("/readyz") == 200
    assert shop.writers() == {"recstack"}

    until("nothing moves", lambda: quiet(operator, shop), PATIENCE)
    before, written = shop.children(), operator.writes()
    cpu, began = operator.cpu_seconds(), time.monotonic()
    time.sleep(20)
    share = (operator.cpu_seconds() - cpu) / (time.monotonic() - began)
    megabytes = operator.resident_megabytes()
    with capsys.disabled():
        print(f"\noperator, one settled stack, 20 s: {100 * share:.2f} % CPU, {megabytes:.0f} MB RSS")
    assert shop.children() == before
    assert operator.writes() == written
    assert share < 0.01
    assert megabytes <= 150


def quiet(operator: OperatorProcess, shop: Shop) -> bool:
    before = (operator.writes(), shop.children())
    time.sleep(1)
    return before == (operator.writes(), shop.children())


def test_every_change_of_a_stack_is_within_the_rights(
    start: Start, hands: Hands, shop: Shop, kube: Kube, space: str
) -> None:
    """What is deleted and patched, not only what is made: autoscaler, Valkey, history, the finalizer."""
    start("one")
    kube.create(
        kinds.SECRET,
        space,
        {
            "metadata": {"name": "keys"},
            "stringData": {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        },
    )
    s3 = {"bucket": "models", "endpoint": "http://s3:9000", "secretName": "keys"}
    shop.make({"stores": {"artifacts": {"s3": s3}}, "autoscaling": {}, "rollout": {"historyLimit": 1}})
    until("the autoscaler is there", lambda: kube.list(kinds.AUTOSCALER, space), PATIENCE)
    until("a version answers", shop.live, PATIENCE)
    shop.change({"autoscaling": None, "stores": {"valkey": {"external": {"host": "elsewhere"}}}})
    ready(shop)
    assert kube.list(kinds.AUTOSCALER, space) == kube.list(kinds.STATEFUL_SET, space) == []
    for seed in (1, 2, 3):
        before = shop.live()
        shop.change({"training": {"seed": seed}})
        until("the new version answers", lambda old=before: shop.live() not in {"", old}, PATIENCE)  # type: ignore[misc]
    until("only one old version is kept", lambda: len(shop.versions()) == 2, PATIENCE)
    kube.delete(kinds.RECOMMENDER_STACK, space, STACK)
    until("the stack is gone", lambda: not shop.read(), PATIENCE)
    assert shop.versions() == []
    assert f"{STACK}-delete-packages" in hands.jobs


def two(start: Start) -> tuple[OperatorProcess, OperatorProcess]:
    """Leader and stand-by."""
    one, other = start("one"), start("other")
    until("one leads", lambda: one.leads() or other.leads(), PATIENCE)
    leader, standby = (one, other) if one.leads() else (other, one)
    until("the other is ready too", lambda: standby.status("/readyz") == 200, PATIENCE)
    return leader, standby


def test_a_feature_store_is_applied_scheduled_and_taken_away(
    start: Start, hands: Hands, shop: Shop, kube: Kube, space: str
) -> None:
    start("one")
    shop.make({"stores": {"feast": {"schedule": {"cron": "*/10 * * * *", "timeZone": "Europe/Berlin"}}}})
    ready(shop)
    status = shop.read()["status"]
    (version,) = shop.versions()
    assert (status["feast"]["appliedVersion"], status["feast"]["runs"]) == (version, 1)
    assert {c["type"]: c["status"] for c in status["conditions"]}["FeaturesReady"] == "True"
    (cron,) = kube.list(kinds.CRON_JOB, space)
    assert (cron["spec"]["schedule"], cron["spec"]["timeZone"]) == ("*/10 * * * *", "Europe/Berlin")
    assert cron["spec"]["suspend"] is False
    shop.change({"stores": {"feast": {"ttl": "1d"}}})
    ready(shop)
    assert shop.read()["status"]["feast"]["runs"] == 2
    shop.change({"stores": {"feast": None}})
    ready(shop)
    until("the CronJob is gone", lambda: not kube.list(kinds.CRON_JOB, space), PATIENCE)
    assert "feast" not in shop.read()["status"]


def test_a_namespace_that_goes_takes_its_stack_along(
    start: Start, hands: Hands, shop: Shop, kube: Kube, space: str
) -> None:
    kube.kubectl(
        "-n", space, "create", "secret", "generic", "keys",
        "--from-literal=AWS_ACCESS_KEY_ID=a", "--from-literal=AWS_SECRET_ACCESS_KEY=b",
    )  # fmt: skip
    shop.make({"stores": {"artifacts": {"s3": {"bucket": "models", "secretName": "keys"}}}})
    start("a")
    until("ready", shop.is_ready, PATIENCE)
    assert shop.read()["metadata"]["finalizers"] == [names.FINALIZER]
    kube.kubectl("delete", "namespace", space, "--wait=false")
    kube.kubectl("-n", space, "delete", "rstack", STACK, "--wait=false")
    until("gone", lambda: shop.read() == {}, PATIENCE)


def test_another_goes_on_when_the_leader_is_killed_in_training(
    start: Start, hands: Hands, shop: Shop, kube: Kube, capsys: pytest.CaptureFixture[str]
) -> None:
    leader, standby = two(start)
    hands.hold = Step.TRAIN_RETRIEVAL
    shop.make({})
    until("the step runs", lambda: shop.job(Step.TRAIN_RETRIEVAL), PATIENCE)
    assert standby.writes() == 0
    assert not standby.leads()
    transitions = lease(kube)["leaseTransitions"]
    leader.kill()
    began = time.monotonic()
    until("the other leads", standby.leads, 15)
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\nthe leader was killed: another led after {took:.1f} s")
    assert took <= 15
    assert (lease(kube)["holderIdentity"], lease(kube)["leaseTransitions"]) == (
        standby.identity,
        transitions + 1,
    )
    hands.hold = None
    ready(shop)
    assert [len(lives) for lives in hands.jobs.values()] == [1] * len(PLAIN)


def test_a_leader_that_was_paused_does_not_write_when_it_wakes(
    start: Start, hands: Hands, shop: Shop
) -> None:
    """As a machine that is suspended: it could not renew, and another leads meanwhile."""
    leader, standby = two(start)
    leader.pause()
    until("the other leads", standby.leads, 15)
    hands.hold = Step.INGEST
    shop.make({})
    until("the first step runs", lambda: shop.job(Step.INGEST), PATIENCE)
    until("nothing moves", lambda: quiet(standby, shop), PATIENCE)
    before = shop.children()
    leader.wake()
    assert leader.wait() == LOST
    assert shop.children() == before


def test_a_stopped_leader_hands_over_at_once(
    start: Start, hands: Hands, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    leader, standby = two(start)
    shop.make({})
    until("the first step runs", lambda: shop.job(Step.INGEST), PATIENCE)
    began = time.monotonic()
    assert leader.terminate() == 0
    until("the other leads", standby.leads, 4)
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\nthe leader was stopped: another led after {took:.1f} s")
    assert took < 4
    until("the next step runs", lambda: shop.job(Step.FEATURES), PATIENCE)


@pytest.mark.parametrize("values", [("watchNamespaces={{{space}}}",)])
def test_killed_in_every_step_it_ends_well(start: Start, hands: Hands, shop: Shop) -> None:
    """And with Roles in its namespace only, without a ClusterRole."""
    operator = start("one")
    shop.make({})
    for step in PLAIN:
        hands.hold = step
        until(f"step {step} runs", lambda of=step: shop.job(of), PATIENCE)  # type: ignore[misc]
        operator.kill()
        hands.hold = None
        until(f"step {step} ends unseen", lambda of=step: ended(shop.job(of)), PATIENCE)  # type: ignore[misc]
        operator = start("one")  # the same pod: kubelet starts its container anew
    ready(shop)
    assert [len(lives) for lives in hands.jobs.values()] == [1] * len(PLAIN)
    (version,) = shop.versions()
    assert shop.live() == version


def ended(job: Any) -> bool:
    return bool(((job or {}).get("status") or {}).get("conditions"))


def test_what_somebody_changed_is_put_back(
    kube: Kube, space: str, start: Start, hands: Hands, shop: Shop
) -> None:
    """Drift is seen by who owns a field; a settled stack still costs nothing."""
    start("a")
    shop.make({"serving": {"replicas": 2}})
    until("the stack is ready", shop.is_ready, PATIENCE)
    kube.kubectl("-n", space, "scale", f"deployment/{names.gateway(STACK)}", "--replicas=5")
    kube.kubectl("-n", space, "label", f"service/{STACK}", f"{names.STACK}=other", "--overwrite")

    def restored() -> bool:
        deployment = kube.get(kinds.DEPLOYMENT, space, names.gateway(STACK)) or {}
        service = kube.get(kinds.SERVICE, space, STACK) or {}
        labels = service["metadata"]["labels"]
        return bool(deployment["spec"]["replicas"] == 2 and labels[names.STACK] == STACK)

    until("both are as the stack says", restored, 90)


def test_an_autoscaler_takes_over_without_a_dip(
    kube: Kube, space: str, start: Start, hands: Hands, shop: Shop
) -> None:
    """The number of pods is given away, not dropped to its default of one."""
    start("a")
    shop.make({"serving": {"replicas": 3}})
    until("the stack is ready", shop.is_ready, PATIENCE)
    shop.change({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}})

    def handed_over() -> bool:
        deployment = kube.get(kinds.DEPLOYMENT, space, names.gateway(STACK)) or {}
        assert deployment["spec"]["replicas"] == 3
        return kube.get(kinds.AUTOSCALER, space, names.gateway(STACK)) is not None and not ownership.holds(
            deployment, "spec", "replicas"
        )

    until("the operator holds the number no more", handed_over, PATIENCE)
