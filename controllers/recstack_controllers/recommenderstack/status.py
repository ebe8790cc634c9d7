"""Conditions of a RecommenderStack, derived from what was observed; nothing here reads or writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from recstack_crds.v1alpha1.recommenderstack import MAX_HISTORY
from recstack_crds.v1alpha1.rollout import RolledBack, RolloutStatus
from recstack_crds.v1alpha1.status import Condition

from recstack_controllers import latency
from recstack_controllers.kit import clock, duration, names
from recstack_controllers.kit.clock import rfc3339
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.modelversion.results import BAD_WAITS
from recstack_controllers.proof import REASONS, Proof, Verdict
from recstack_controllers.recommenderstack.observe import all_ready
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources.configmaps import Phase, Plan

PARTS = ("StoresReady", "ModelReady", "ServingReady", "EventsReady", "AutoscalingReady", "FeaturesReady")
ORDER = (*PARTS, "Pinned", "Scheduled", "Watched", "Fresh", "Ready", "Reconciling", "Stalled")
ASIDE = frozenset({"Suspended", "Superseded"})
"""Reasons for which nothing moves and yet nothing is wrong."""
Fact = tuple[State, str, str]


def stores(stateful_set: Manifest | None, *, managed: bool) -> Fact:
    """StoresReady."""
    if not managed:
        return State.TRUE, "External", "Valkey is yours; its Secret is complete."
    ready = ((stateful_set or {}).get("status") or {}).get("readyReplicas", 0)
    if ready:
        return State.TRUE, "ValkeyReady", "Valkey answers."
    return State.FALSE, "ValkeyStarting", "Valkey's pod is not ready yet: see `kubectl describe pod` of it."


def model(
    plan: Plan,
    wanted: str,
    on_its_way: Known | None,
    proof: Proof | None,
    rollout: RolloutStatus | None,
    *,
    pinned: bool,
    suspended: bool,
) -> tuple[Fact, bool]:
    """ModelReady, and whether only a person can help.

    ``on_its_way``: the version that is to serve, or the one that is trained for it; ``proof``: the pods'
    judgement on it, when it is a candidate; ``rollout``: how far that is.
    """
    name = on_its_way.name if on_its_way else wanted
    if (fact := _answers(plan, name, rollout)) is not None:
        return fact, False
    rest = f" Version {plan.live} answers meanwhile." if plan.live else ""
    if on_its_way is None:
        if pinned:
            text = (
                f"There is no ModelVersion {name}, which spec.rollout.pin names: name one that is there, "
                f"or take the pin out.{rest}"
            )
            return (State.FALSE, "PinnedVersionMissing", text), True
        if suspended:
            text = f"Version {name} is not begun while spec.suspend is true.{rest}"
            return (State.FALSE, "Suspended", text), False
        return (State.FALSE, "Training", f"Version {name} is about to be trained.{rest}"), False
    if proof is not None:
        reason = "Loading" if proof.verdict is Verdict.PROVEN else REASONS[proof.verdict]
        text = f"Version {name}: {proof.message}.{rest}"
        return (State.FALSE, reason, text), proof.verdict is Verdict.NO_ROOM
    return _in_training(on_its_way, rest, suspended=suspended and not pinned)


def _answers(plan: Plan, name: str, rollout: RolloutStatus | None) -> Fact | None:
    """ModelReady of a version that answers requests, or some of them, or is mirrored."""
    progress = plan.rollout
    if progress is not None and progress.version == name and progress.phase is not Phase.LOADING and rollout:
        where = f"step {rollout.step} of {rollout.steps}, " if rollout.step else ""
        text = f"Version {name}: {where}{rollout.weight} % of requests; {rollout.message}."
        return State.FALSE, progress.phase, text
    return (State.TRUE, "Live", f"Version {name} answers.") if plan.live == name else None


def taken_back(one: RolledBack) -> str:
    """Why a version was rolled back, and what a person can do."""
    what = "refused" if one.reason == latency.MISSED else "rolled back"
    return (
        f"Version {one.version} was {what}: {one.message}. Change the spec for another one, "
        f"pin it, or give its annotation {names.PROMOTE} another value to try it again."
    )


def pinned(plan: Plan, pin: str, model: Fact) -> Fact:
    """Pinned: whether the version that a person named answers; ``model``: ModelReady, which tells why not."""
    if plan.live == pin:
        text = f"Version {pin} answers, and no other takes over until spec.rollout.pin is taken out."
        return State.TRUE, "Pinned", text
    return State.FALSE, *model[1:]


def history(before: Sequence[Mapping[str, str]], live: str | None, now: datetime) -> list[Mapping[str, str]]:
    """Versions that were live, the newest first, with the one that is."""
    if live is None or (before and before[0]["version"] == live):
        return list(before)
    return [{"version": live, "since": rfc3339(now)}, *before][:MAX_HISTORY]


def _in_training(on_its_way: Known, rest: str, *, suspended: bool) -> tuple[Fact, bool]:
    """ModelReady of a version that no pod was told of yet; ``rest``: what answers meanwhile."""
    name = on_its_way.name
    stalled, ready = on_its_way.conditions.get("Stalled"), on_its_way.conditions.get("Ready")
    if stalled is not None and stalled.status == State.TRUE and stalled.reason not in ASIDE:
        return (State.FALSE, stalled.reason, f"Version {name}: {stalled.message}{rest}"), True
    if on_its_way.refused and on_its_way.rolled_back is not None:
        reason = latency.condition_reason(on_its_way.rolled_back.reason)
        return (State.FALSE, reason, taken_back(on_its_way.rolled_back) + rest), True
    if on_its_way.servable:
        reason = "Suspended" if suspended else "Loading"
        return (State.FALSE, reason, f"Version {name} is packaged; pods will load it.{rest}"), False
    if suspended and ready is not None and ready.reason == "Suspended":
        return (State.FALSE, "Suspended", f"{ready.message}{rest}"), False
    if ready is not None and ready.reason == "Waiting":
        return (State.FALSE, "Waiting", f"Version {name}: {ready.message}{rest}"), False
    detail = ready.message if ready is not None else "it is about to be trained."
    return (State.FALSE, "Training", f"Version {name}: {detail}{rest}"), False


def serving(plan: Plan, deployment: Manifest | None, pods: Sequence[Manifest]) -> Fact:
    """ServingReady: all pods are there, are of the current settings and answer."""
    if deployment is None:
        return State.FALSE, "Creating", "The serving pods are not made yet."
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    trouble = next((text for text in map(_trouble, pods) if text), "")
    if trouble:
        return State.FALSE, "PodsCannotStart", trouble
    if plan.live is None:
        return State.FALSE, "NoModel", "No version is live yet; the pods answer with 503 until one is."
    if not all_ready(deployment):
        return State.FALSE, "PodsNotReady", f"{ready} of {wanted} pods are ready with the current settings."
    return State.TRUE, "Serving", f"{wanted} of {wanted} pods answer."


def events(worker: Manifest | None, pods: Sequence[Manifest]) -> Fact:
    """EventsReady: the pod that works off events runs; apart, as recommendations do not need it."""
    if worker is not None and all_ready(worker):
        return State.TRUE, "Working", "Events are worked off."
    trouble = next((text for text in map(_trouble, pods) if text), "")
    if trouble:
        return State.FALSE, "EventsPodCannotStart", trouble
    return (
        State.FALSE,
        "EventsPodNotReady",
        "The pod that works off events is not ready yet; they wait in Valkey.",
    )


def _trouble(pod: Manifest) -> str:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"Pod {name}: no node has room for it: {condition.get('message', '')}"
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in BAD_WAITS:
            detail = waiting.get("message", "")
            return f"Pod {name}: container {container['name']} cannot start: {waiting['reason']}: {detail}"
        ended = (container.get("lastState") or {}).get("terminated") or {}
        if waiting.get("reason") == "CrashLoopBackOff":
            why = ended.get("reason", "Error")
            part = "events" if container["name"] == "events" else "serving"
            hint = f" Raise spec.{part}.memory." if why == "OOMKilled" else ""
            return (
                f"Pod {name}: container {container['name']} keeps ending ({why}, exit code "
                f"{ended.get('exitCode')}): see "
                f"`kubectl logs {name} -c {container['name']} --previous`.{hint}"
            )
    return ""


def autoscaling(autoscaler: Manifest | None) -> Fact:
    """AutoscalingReady, from the autoscaler's own conditions."""
    found = ((autoscaler or {}).get("status") or {}).get("conditions") or []
    state = {one["type"]: one for one in found}
    for type in ("AbleToScale", "ScalingActive"):
        one = state.get(type)
        if one is None:
            return State.FALSE, "Pending", "The autoscaler has not looked yet."
        # ScalingDisabled: the autoscaler's own word for zero replicas, which a person asked for.
        if one["status"] != "True" and one.get("reason") != "ScalingDisabled":
            return (
                State.FALSE,
                one.get("reason") or type,
                f"The autoscaler cannot scale: {one.get('message', '')} "
                "Is a metrics adapter installed that serves spec.autoscaling's metric?",
            )
    return State.TRUE, "Scaling", "The autoscaler reads its metric."


def fresh(
    live: str | None, known: Sequence[Known], limit: str, now: datetime
) -> tuple[Fact, datetime | None]:
    """Fresh: whether the live version was asked for within ``limit``; and when that turns."""
    found = next((one for one in known if one.name == live), None)
    if found is None:
        gone = f"The ModelVersion of {live} is gone, so its age is not known." if live else "None is live."
        return (State.UNKNOWN, "AgeUnknown", gone), None
    turns = clock.parse(found.scheduled or found.created) + duration.parse(limit)
    since = f"Version {live} is of {found.scheduled or found.created}; spec.training.maxStaleness is {limit}."
    if now < turns:
        return (State.TRUE, "Fresh", since), turns
    return (State.FALSE, "Stale", since), None


def conclude(conditions: Conditions, *, stalled: str | None) -> None:
    """Ready, Reconciling and Stalled from the parts; the first that is not True speaks for all.

    ``stalled``: the condition of what only a person can help, which then speaks.
    """
    parts = [found for type in PARTS if (found := conditions.get(type)) is not None]
    bad = next((one for one in parts if one.status != State.TRUE), None)
    if stalled:
        bad = conditions.get(stalled) or bad
    if bad is None:
        conditions.set("Ready", State.TRUE, "Ready", "All of it is as spec says.")
        conditions.set("Reconciling", State.FALSE, "Settled", "")
        conditions.set("Stalled", State.FALSE, "NotStalled", "")
        return
    settle(conditions, bad, stalled=stalled is not None)


def settle(conditions: Conditions, bad: Condition, *, stalled: bool) -> None:
    """Ready is False because of ``bad``; kstatus' two conditions follow."""
    conditions.set("Ready", State.FALSE, bad.reason, bad.message)
    moving = not stalled and bad.reason not in ASIDE
    if moving:
        conditions.set("Reconciling", State.TRUE, bad.reason, bad.message)
    else:
        conditions.set("Reconciling", State.FALSE, "Stalled" if stalled else bad.reason, "")
    if stalled:
        conditions.set("Stalled", State.TRUE, bad.reason, bad.message)
    else:
        conditions.set("Stalled", State.FALSE, "NotStalled", "")


def phase(conditions: Conditions) -> str:
    """One word for people."""
    if conditions.is_true("Ready"):
        return "Ready"
    if conditions.is_true("Stalled"):
        return "Stalled"
    ready = conditions.get("Ready")
    reason = ready.reason if ready else ""
    model_ready = conditions.get("ModelReady")
    if reason in {"Suspended", "SecretMissing", "Waiting", "Deleting"}:
        return "Waiting" if reason == "SecretMissing" else reason
    if model_ready is not None and model_ready.status != State.TRUE:
        return model_ready.reason
    return "Starting"
