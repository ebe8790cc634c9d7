"""`plan`: what an apply would retrain, reload or restart, by the operator's own builders. Pure.

Nothing here knows which field does what: each change is made alone, the children are built before and
after it, and what differs is told. So it says what the operator will do, also when that changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from recstack_controllers.kit import cron, names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.recommenderstack import versions as choice
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import (
    access,
    autoscaler,
    claims,
    disruption,
    events,
    modelversion,
    network,
    serving,
    valkey,
)
from recstack_controllers.resources.configmaps import Plan
from recstack_controllers.resources.stack import Stack
from recstack_controllers.settings import Images, Settings
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_crds.v1alpha1.models import Kind, StackTraining

from recstack_cli.changes import Change, changes

SETTINGS = Settings(Images("training", "serving", "valkey", "feast"), "IfNotPresent", "recstack-system")
"""The installation's own stay the same over an apply, so that any will do for both sides."""
NOBODY = valkey.Credentials("default", "")
_TOLD = frozenset({"template", "replicas", "volumeClaimTemplates"})
"""Fields of a child's spec whose change has words of its own."""
REMOVED = frozenset({"StatefulSet", "Service", "NetworkPolicy", "HorizontalPodAutoscaler"})
"""Kinds that the operator deletes when a spec no longer asks for them; claims and the like stay."""


class Effect(StrEnum):
    """What a change costs, the dearest first."""

    REFUSED = "refused"
    RETRAIN = "retrain"
    RELOAD = "reload"
    RESTART = "restart"
    SCALE = "scale"
    UPDATE = "update"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Consequence:
    """One thing that will happen, and why."""

    effect: Effect
    why: str


@dataclass(frozen=True)
class Situation:
    """What there is now besides the spec: versions, oldest first, and the serving plan."""

    known: Sequence[Known]
    plan: Plan


def children(stack: Stack) -> dict[tuple[str, str], Manifest]:
    """What the operator makes for a spec, by kind and name; without versions and what follows from them."""
    secret = valkey.secret(stack, NOBODY)
    external = stack.spec.stores.valkey.external
    # The operator puts the Secret's resourceVersion here: it moves with whatever the Secret is made from.
    credentials = names.digest([secret, external.secret_name if external else None])
    server, scaling = valkey.managed(stack), stack.spec.autoscaling
    made: list[Manifest | None] = [
        claims.work(stack),
        claims.artifacts(stack),
        secret,
        access.service_account(stack),
        access.role(stack),
        access.role_binding(stack),
        network.serving(stack),
        network.training(stack),
        serving.deployment(stack, credentials),
        serving.service(stack),
        disruption.budget(stack),
    ]
    if server is not None:
        made += [valkey.service(stack), network.valkey(stack), valkey.stateful_set(stack, server)]
    if scaling is not None:
        made.append(autoscaler.autoscaler(stack, scaling))
    if stack.spec.events.enabled:
        made += [
            access.service_account(stack, events.COMPONENT),
            access.role(stack, events.COMPONENT),
            access.role_binding(stack, events.COMPONENT),
            network.events(stack),
            events.deployment(stack, credentials),
        ]
    return {(one["kind"], one["metadata"]["name"]): one for one in made if one is not None}


def consequences(before: Stack, after: Stack, now: Situation) -> list[Consequence]:
    """All that follows from going from one spec to the other, dearest first."""
    found = [*_model(before, after, now), *_children(before, after), *_rest(before, after, now)]
    order = list(Effect)
    return sorted(found, key=lambda one: order.index(one.effect)) or [
        Consequence(Effect.NOTHING, "no object of the stack depends on it")
    ]


def creation(stack: Stack) -> list[Consequence]:
    """What follows from a stack that is not there yet."""
    name = modelversion.name(stack)
    pods = stack.spec.autoscaling.min_replicas if stack.spec.autoscaling else stack.spec.serving.replicas
    begins = "once spec.suspend is false, then" if stack.spec.suspend else "then"
    return [
        Consequence(Effect.RETRAIN, f"version {name} is trained {begins} served"),
        Consequence(Effect.UPDATE, f"{len(children(stack))} objects are made; {pods} serving pods start"),
    ]


def by_field(before: Stack, after: Stack, now: Situation) -> list[tuple[Change, list[Consequence]]]:
    """Every changed field, defaults resolved, with what it alone would bring about."""
    left, right = _dump(before), _dump(after)
    result = []
    for change in changes(left, right):
        spec = RecommenderStackSpec.model_validate(_with(left, change.keys, right))
        result.append((change, consequences(before, replace(before, spec=spec), now)))
    return result


def _dump(stack: Stack) -> dict[str, Any]:
    return stack.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _with(target: Mapping[str, Any], keys: Sequence[str], source: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``target`` that has, at ``keys``, what ``source`` has there."""
    first, *rest = keys
    result = dict(target)
    if rest:
        result[first] = _with(target[first], rest, source[first])
    elif first in source:
        result[first] = source[first]
    else:
        del result[first]
    return result


def _model(before: Stack, after: Stack, now: Situation) -> Iterator[Consequence]:
    yield from _recipe(before, after, now)
    yield from _pin(before, after, now)


def _recipe(before: Stack, after: Stack, now: Situation) -> Iterator[Consequence]:
    old, new = modelversion.name(before), modelversion.name(after)
    if old == new:
        return
    held = " once spec.suspend is false" if after.spec.suspend else ""
    if after.spec.rollout.pin:
        held += f", and does not take over from {after.spec.rollout.pin}, which is pinned"
    meanwhile = f"; {now.plan.live} answers meanwhile" if now.plan.live else ""
    mine = choice.of_recipe(now.known, after)
    known = next((one for one in reversed(mine) if one.servable), mine[-1] if mine else None)
    if known is None:
        yield Consequence(
            Effect.RETRAIN, f"it is part of the recipe: version {new} is trained{held}{meanwhile}"
        )
    elif known.servable:
        yield Consequence(
            Effect.RELOAD,
            f"version {known.name} has this recipe and is trained: pods load it{held}{meanwhile}",
        )
    else:
        yield Consequence(
            Effect.RETRAIN,
            f"version {known.name} has this recipe and goes on where it stands{held}{meanwhile}",
        )


def _pin(before: Stack, after: Stack, now: Situation) -> Iterator[Consequence]:
    pin = after.spec.rollout.pin
    if pin == before.spec.rollout.pin:
        return
    held = {one.name for one in now.plan.versions}
    goal = choice.target(now.known, after)
    answers = f"; {now.plan.live} answers meanwhile" if now.plan.live else ""
    if goal is not None and goal.name != now.plan.live:
        how = "pods hold it, so it answers within seconds" if goal.name in held else f"pods load it{answers}"
        yield Consequence(Effect.RELOAD, f"version {goal.name} takes over: {how}")
    elif pin is None:
        yield Consequence(Effect.UPDATE, "other versions may take over again")
    elif now.plan.live == pin:
        yield Consequence(Effect.UPDATE, f"version {pin} answers already; no other takes over any more")
    elif any(one.name == pin for one in now.known):
        yield Consequence(Effect.UPDATE, f"version {pin} is not packaged yet; it is waited for{answers}")
    else:
        yield Consequence(Effect.UPDATE, f"there is no ModelVersion {pin}: the stack is Stalled{answers}")


def _children(before: Stack, after: Stack) -> Iterator[Consequence]:
    left, right = children(before), children(after)
    for key in dict.fromkeys((*left, *right)):
        what = " ".join(key)
        old, new = left.get(key), right.get(key)
        if old == new:
            continue
        if old is None:
            yield Consequence(Effect.UPDATE, f"{what} is made")
        elif new is None:
            fate = "is deleted" if key[0] in REMOVED else "stays, unused"
            yield Consequence(Effect.UPDATE, f"{what} {fate}")
        else:
            yield from _changed(what, old, new)


def _changed(what: str, old: Manifest, new: Manifest) -> Iterator[Consequence]:
    parts = [one.get("spec") or {} for one in (old, new)]
    if parts[0].get("volumeClaimTemplates") != parts[1].get("volumeClaimTemplates"):
        text = f"the API server lets nobody change the volume claims of {what}: make a new stack"
        yield Consequence(Effect.REFUSED, text)
    elif parts[0].get("template") != parts[1].get("template"):
        if new["kind"] != "Deployment":
            how = "seen items stay on its volume"
        elif parts[1]["strategy"]["type"] == "Recreate":
            how = "events wait meanwhile"
        else:
            how = "one by one, none is missing"
        yield Consequence(Effect.RESTART, f"pods of {what} are replaced ({how})")
    if parts[0].get("replicas") != parts[1].get("replicas"):
        count = parts[1].get("replicas")
        to = f"from {parts[0].get('replicas')} to {count} pods" if count is not None else "by its autoscaler"
        yield Consequence(Effect.SCALE, f"{what} is scaled {to}")
    rest = [
        one | {"spec": {key: part[key] for key in part if key not in _TOLD}}
        for one, part in zip((old, new), parts, strict=True)
    ]
    if rest[0] != rest[1]:
        yield Consequence(Effect.UPDATE, f"{what} is updated in place")


def _watched(training: StackTraining) -> str:
    asked = {
        "new days": training.triggers.new_data and training.triggers.new_data.kind,
        "drift": training.triggers.drift and training.triggers.drift.kind,
        f"an age of {training.max_staleness}": training.triggers.on_stale,
    }
    said = [f"{what} (kind {kind})" for what, kind in asked.items() if kind]
    return f"versions are made for {', '.join(said)}" if said else "only schedules and changes make versions"


def _times(before: StackTraining, after: StackTraining) -> Iterator[Consequence]:
    old, new = ({one.name: one for one in side.schedules} for side in (before, after))
    for name in dict.fromkeys((*old, *new)):
        one = new.get(name)
        if one is None:
            yield Consequence(Effect.UPDATE, f"schedule {name} is gone; what it began is trained on")
        elif one != old.get(name):
            try:
                line = cron.parse(one.cron, one.time_zone)
            except ValueError as error:
                yield Consequence(Effect.REFUSED, f"schedule {name}: {error}; it never runs")
            else:
                does = "fine-tunes what is live" if one.kind is Kind.FINE_TUNE else "trains"
                yield Consequence(
                    Effect.UPDATE, f"schedule {name} {does} at {line} from now on; nothing is made up for"
                )
    if before.triggers != after.triggers:
        yield Consequence(Effect.UPDATE, f"{_watched(after)}; what was begun is trained on")
    if before.fine_tune != after.fine_tune:
        yield Consequence(Effect.UPDATE, "the next fine-tunes are fitted so; nothing is trained anew")
    if before.max_staleness != after.max_staleness:
        limit = after.max_staleness
        said = f"says whether the live version is younger than {limit}" if limit else "is gone"
        yield Consequence(Effect.UPDATE, f"condition Fresh {said}")


def _rest(before: Stack, after: Stack, now: Situation) -> Iterator[Consequence]:
    if before.spec.suspend != after.spec.suspend:
        text = "nothing new is started; serving goes on" if after.spec.suspend else "what was held goes on"
        yield Consequence(Effect.UPDATE, text)
    yield from _times(before.spec.training, after.spec.training)
    keep = after.spec.rollout.keep_loaded
    if keep != before.spec.rollout.keep_loaded:
        text = f"pods hold up to {keep} versions that were live before, and their memory"
        yield Consequence(Effect.UPDATE, text)
    past = [set(choice.history(now.known, one, now.plan)) for one in (before, after)]
    if gone := sorted(past[1] - past[0]):
        yield Consequence(
            Effect.UPDATE,
            f"beyond the history limit: ModelVersion {', '.join(gone)} is deleted, and its files after it",
        )
