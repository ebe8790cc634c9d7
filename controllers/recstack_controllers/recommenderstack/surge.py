"""``memoryFallback: Surge``: pods are replaced, each new one holds the new version in the live one's place.

The Deployment does the replacing (one pod more than replicas at a time, none less). The pods' environment
names the surge that they were started for, the plan the one that is under way: a pod that was started for it
leaves the live version out. Nothing else differs from another rollout: the plan's ``live`` moves once all
pods, which are new ones then, have proven the version.
"""

from dataclasses import replace

from recstack_crds.v1alpha1.rollout import MemoryFallback, Rollout

from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.proof import Proof, Verdict, in_surge
from recstack_controllers.resources.configmaps import Plan
from recstack_controllers.resources.serving import SURGE


def proceed(
    before: Plan, after: Plan, found: Proof | None, policy: Rollout, generation: int
) -> tuple[Plan, Proof | None]:
    """``after`` with the surge that is under way, and the judgement on the candidate in its light.

    ``generation``: of the plan that is about to be written. It is part of a surge's name, so that pods of an
    earlier surge for the same version take no part in this one.
    """
    candidate = after.candidate
    if policy.memory_fallback is not MemoryFallback.SURGE or candidate is None or found is None:
        return replace(after, surge=""), found
    name = before.surge if before.surge.rpartition("/")[0] == candidate.name else ""
    if not name and found.verdict is Verdict.NO_ROOM:
        name = f"{candidate.name}/{generation}"
    return replace(after, surge=name), in_surge(found, after.live)


def started(deployment: Manifest | None) -> str:
    """The surge that pods were last replaced for; it stays, since another word would replace them again."""
    if deployment is None:
        return ""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = (
        one["value"] for container in containers for one in container.get("env", ()) if one["name"] == SURGE
    )
    return next(found, "")
