"""Pure choice among a stack's versions: which one is to serve, which ones are history."""

from collections.abc import Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1 import ModelVersionStatus
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import Days, ParentStatus, Promote
from recstack_crds.v1alpha1.rollout import RolledBack
from recstack_crds.v1alpha1.status import Condition

from recstack_controllers.kit import decode, names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.configmaps import Plan
from recstack_controllers.resources.modelversion import Origin
from recstack_controllers.resources.stack import Stack, read_version


@dataclass(frozen=True)
class Known:
    """One ModelVersion of the stack, as its own reconcile left it."""

    name: str
    created: str
    by_stack: bool
    released: bool
    package: str | None
    conditions: dict[str, Condition]
    origin: Origin = modelversion.FIRST
    window: Days | None = None
    """The days that it is made of."""
    parent: ParentStatus | None = None
    promoted: str = ""
    rolled_back: RolledBack | None = None
    """Why it was taken back, if it was."""
    pod_gates: tuple[Gate, ...] = ()
    """Gates on its latency."""

    @property
    def scheduled(self) -> str | None:
        """The time that its schedule asked for it, RFC 3339."""
        return self.origin.scheduled

    def is_true(self, type: str) -> bool:
        """Whether a condition is True."""
        found = self.conditions.get(type)
        return found is not None and found.status == State.TRUE

    def is_false(self, type: str) -> bool:
        """Whether a condition is False."""
        found = self.conditions.get(type)
        return found is not None and found.status == State.FALSE

    @property
    def in_training(self) -> bool:
        """Neither packaged, nor stalled, nor put aside for another."""
        ready = self.conditions.get("Ready")
        aside = ready is not None and ready.reason == "Superseded"
        return not (aside or self.is_true("Packaged") or self.is_true("Stalled"))

    @property
    def packaged(self) -> bool:
        """Published and past its gates."""
        return bool(self.package) and self.is_true("Evaluated") and self.is_true("Packaged")

    @property
    def refused(self) -> bool:
        """Taken back, and not promoted anew since."""
        return self.rolled_back is not None and self.rolled_back.promoted == self.promoted

    @property
    def servable(self) -> bool:
        """Packaged, released by whoever asked for it, and not taken back."""
        return self.packaged and self.released and not self.refused


def read(manifests: Sequence[Manifest], stack: str, taken_back: Sequence[RolledBack] = ()) -> list[Known]:
    """Versions of ``stack`` that are not being deleted, oldest first; ``taken_back``: by the plan."""
    by_plan = {one.version: one for one in taken_back}
    found = []
    for manifest in manifests:
        metadata = manifest["metadata"]
        if manifest["spec"].get("stack") != stack or metadata.get("deletionTimestamp"):
            continue
        try:
            version = read_version(manifest)
        except Stalled:  # its own reconcile says so
            continue
        annotations = metadata.get("annotations") or {}
        status = decode.status(ModelVersionStatus, manifest)
        found.append(
            Known(
                name=metadata["name"],
                created=metadata["creationTimestamp"],
                by_stack=annotations.get(names.RECIPE) == modelversion.BY_STACK,
                released=version.spec.promote is Promote.AUTO or bool(modelversion.promoted(metadata)),
                package=status.package,
                conditions={condition.type: condition for condition in status.conditions},
                promoted=modelversion.promoted(metadata),
                pod_gates=tuple(version.spec.recipe.evaluation.pod_gates),
                rolled_back=by_plan.get(metadata["name"], status.rolled_back),
                origin=Origin.of(manifest),
                window=status.window,
                parent=status.parent,
            )
        )
    return sorted(found, key=lambda one: (one.created, one.name))


def target(known: Sequence[Known], stack: Stack) -> Known | None:
    """The version that is to serve: the pinned one, or the newest of the recipe's and those of people and CI.

    Theirs count from when the recipe's first version was made: another recipe is a newer word.

    None: none that may serve yet, so what serves now goes on.
    """
    pin = stack.spec.rollout.pin
    if pin is not None:  # the word of a person, so it needs no release
        return next((one for one in known if one.name == pin and one.packaged), None)
    mine = of_recipe(known, stack)
    since = (mine[0].created, mine[0].name) if mine else ("", "")
    current = {one.name for one in mine}
    able = [
        one
        for one in known
        if one.servable and (one.name in current or (not one.by_stack and (one.created, one.name) > since))
    ]
    return able[-1] if able else None


def of_recipe(known: Sequence[Known], stack: Stack) -> list[Known]:
    """Versions of the present recipe that the stack made, its schedules' runs too, oldest first."""
    return [one for one in known if one.name == modelversion.name(stack, one.origin)]


def wanted(stack: Stack) -> str:
    """Name of the version that the spec asks for, whether there is one or not."""
    return stack.spec.rollout.pin or modelversion.name(stack)


def on_its_way(known: Sequence[Known], stack: Stack) -> Known | None:
    """The version that is to serve, or the one that is trained for it; None: there is none yet."""
    goal = target(known, stack)
    if goal is not None or stack.spec.rollout.pin is not None:
        return goal or _named(known, stack.spec.rollout.pin)
    current = of_recipe(known, stack)
    return current[-1] if current else None


def history(known: Sequence[Known], stack: Stack, plan: Plan) -> list[str]:
    """Superseded versions beyond the newest ``historyLimit``.

    Never one that is pinned, wanted, or that pods hold; those that they keep count towards the limit.
    """
    held = {one.name for one in plan.versions} - set(plan.kept)
    goals = [target(known, stack), *of_recipe(known, stack)[-1:]]
    used = {wanted(stack), modelversion.name(stack), *plan.drain, *held, *(one.name for one in goals if one)}
    live = _named(known, plan.live)
    past = [
        one
        for one in known
        if one.name not in used and (one.by_stack or (live is not None and one.created < live.created))
    ]
    excess = max(0, len(past) - stack.spec.rollout.history_limit)
    return [one.name for one in past if one.name not in plan.kept][:excess]


def _named(known: Sequence[Known], name: str | None) -> Known | None:
    return next((one for one in known if one.name == name), None)
