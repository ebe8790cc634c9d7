"""`rollback`: which version answered before, and the pin that brings it back."""

import json

from recstack_controllers import kinds
from recstack_controllers.kit import decode
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.recommenderstack import versions as choice
from recstack_controllers.recommenderstack.versions import Known
from recstack_crds.v1alpha1 import RecommenderStackStatus

from recstack_cli.errors import NOT_FOUND, CliError
from recstack_cli.kubectl import Kubectl, resource


def pin(kubectl: Kubectl, stack: Manifest, to: str | None) -> str:
    """Pin ``stack`` to a version, or to the one that was live before; gives that version's name.

    Raises:
        CliError: there is no such version, or it is not packaged.
    """
    name = stack["metadata"]["name"]
    known = choice.read(kubectl.list(kinds.MODEL_VERSION), name)
    status = decode.status(RecommenderStackStatus, stack)
    there = [one.name for one in known if one.packaged]
    names = f"Packaged are: {', '.join(there) or 'none'}."
    goal = to or previous([one.version for one in status.history], known)
    if goal is None:
        raise CliError(
            f"No version answered before {status.live_version}: say which with --to. {names}", NOT_FOUND
        )
    if goal not in there:
        found = any(one.name == goal for one in known)
        what = f"{goal} is not packaged, so it cannot serve." if found else f"{name} has no version {goal}."
        raise CliError(f"{what} {names}", 1 if found else NOT_FOUND)
    patch = {"spec": {"rollout": {"pin": goal}}}
    kubectl.run(
        "patch", resource(kinds.RECOMMENDER_STACK), name, "--type=merge", f"--patch={json.dumps(patch)}"
    )
    return goal


def previous(history: list[str], known: list[Known]) -> str | None:
    """The version that answered before the present one first did, of those that can still serve.

    ``history``: versions that were live, newest first. Going by the first time lets one rollback follow
    another: after C was taken back to B, the one before is A and not C.
    """
    usable = {one.name for one in known if one.packaged}
    if not history:
        return None
    first = len(history) - 1 - history[::-1].index(history[0])
    for name in (*history[first + 1 :], *history[1:first]):
        if name in usable and name != history[0]:
            return name
    return None
