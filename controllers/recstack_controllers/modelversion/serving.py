"""How a packaged version stands in serving, read from the stack's plan and its pods."""

from recstack_crds.v1alpha1.modelversion import GateVerdict, Promote
from recstack_crds.v1alpha1.rollout import RolledBack

from recstack_controllers import kinds, latency, proof
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Waiting
from recstack_controllers.modelversion.status import Service
from recstack_controllers.resources.configmaps import Phase, Plan, read_plan
from recstack_controllers.resources.stack import Version


async def observe(  # noqa: PLR0911
    cluster: Cluster,
    namespace: str,
    version: Version,
    digest: str,
    created: str,
    *,
    promoted: str,
    pin: str | None,
    rolled_back: RolledBack | None,
) -> Service:
    """Stand of ``version``; pods are asked only while it is a candidate. ``pin``: the stack's.

    ``promoted``: its annotation; ``rolled_back``: what its status tells of that.

    Raises:
        Waiting: somebody changed the plan into what is no plan.
    """
    name, spec = version.name, version.spec
    try:
        plan, _ = read_plan(await cluster.get(kinds.CONFIG_MAP, namespace, names.plan(spec.stack)))
    except ValueError as error:
        raise Waiting("PlanUnreadable", f"{error}: see stack {spec.stack}.", 30) from None
    if plan.live == name:
        return _live(plan, spec.stack)
    not_live = _not_live(plan, name)
    if name in plan.kept and name != pin:
        text = f"Version {plan.live} took its place; pods keep it for spec.rollout.pin of {spec.stack}."
        return Service((State.TRUE, "Kept", text), (State.FALSE, "Superseded", text), settled=True)
    if name in {planned.name for planned in plan.versions}:
        reports = await proof.observe(cluster, namespace, spec.stack)
        found = proof.judge(reports, name, digest)
        found = proof.in_surge(found, plan.live) if plan.surge else found
        state = State.TRUE if found.verdict is proof.Verdict.PROVEN else State.FALSE
        reason = proof.REASONS[found.verdict]
        loaded = (state, reason, f"{found.message}.")
        verdicts = _verdicts(version, latency.slowest(reports, name))
        return Service(loaded, not_live, settled=False, latency=verdicts)
    taken_back = next((one for one in plan.rolled_back if one.version == name), rolled_back)
    if taken_back is not None and pin != name and taken_back.promoted == promoted:
        what = "Refused" if taken_back.reason == latency.MISSED else "Rolled back"
        text = f"{what} at {taken_back.time}: {taken_back.message}. Version {plan.live} answers."
        fact = (State.FALSE, latency.condition_reason(taken_back.reason), text)
        p50, p99 = taken_back.latency_p50, taken_back.latency_p99
        measured = proof.Latency(p50=p50, p99=p99) if p50 is not None and p99 is not None else None
        return Service(fact, fact, settled=True, rolled_back=taken_back, latency=_verdicts(version, measured))
    if pin != name and (held := _held_back(version, pin, promoted=bool(promoted))):
        return Service((State.FALSE, *held), not_live, settled=True)
    if plan.live is not None and pin != name:
        live = await cluster.get(kinds.MODEL_VERSION, namespace, plan.live)
        if live is not None and live["metadata"]["creationTimestamp"] >= created:
            text = f"Version {plan.live} took its place."
            return Service((State.FALSE, "Superseded", text), (State.FALSE, "Superseded", text), settled=True)
    text = f"Packaged; stack {spec.stack} will hand it to its pods."
    return Service((State.FALSE, "Queued", text), not_live, settled=False)


def _verdicts(version: Version, measured: proof.Latency | None) -> list[GateVerdict]:
    gates = version.spec.recipe.evaluation.pod_gates
    return latency.judge(gates, measured) if measured is not None else []


def _live(plan: Plan, stack: str) -> Service:
    text, progress = f"It answers the requests to {stack}.", plan.rollout
    soaking = progress is not None and progress.version == plan.live
    if soaking:
        text = f"It answers the requests to {stack} and is watched; the one before is still loaded."
    return Service(
        (State.TRUE, "Proven", "Every serving pod proved it before it took requests."),
        (State.TRUE, "Live", text),
        settled=not soaking,
    )


def _not_live(plan: Plan, name: str) -> tuple[State, str, str]:
    """Live of a version that does not answer everything."""
    text = f"Version {plan.live} is live." if plan.live else "No version is live."
    weight = sum(one.weight for one in plan.routes if one.version == name)
    if weight:
        return State.FALSE, Phase.CANARY, f"It answers {weight} % of requests. {text}"
    if plan.mirror is not None and plan.mirror.version == name:
        return State.FALSE, Phase.SHADOW, f"Requests are mirrored to it. {text}"
    return State.FALSE, "NotLive", text


def _held_back(version: Version, pin: str | None, *, promoted: bool) -> tuple[str, str] | None:
    """Reason and message why a packaged version that could serve is not to; None: it is."""
    if pin is not None:
        return "Pinned", f"Packaged; stack {version.spec.stack} is pinned to {pin}, so it does not take over."
    if version.spec.promote is Promote.MANUAL and not promoted:
        return "AwaitsPromotion", f"Packaged; annotate it with {names.PROMOTE}=true to let it serve."
    return None
