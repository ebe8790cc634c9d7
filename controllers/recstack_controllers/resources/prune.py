"""The Job that deletes the files of versions beyond the history limit: packages and intermediate state."""

from collections.abc import Sequence

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import cleanup
from recstack_controllers.resources.stack import Stack

KEPT_SECONDS = 600


def job(stack: Stack, versions: Sequence[str], packages: Sequence[str]) -> Manifest:
    """Job that deletes the work folders of ``versions`` and those ``packages``, digests, of the stack."""
    made = cleanup.job(stack)
    made["metadata"] = stack.metadata(names.prune(stack.name, [*versions, *packages]), cleanup.COMPONENT)
    made["spec"]["ttlSecondsAfterFinished"] = KEPT_SECONDS
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["command"] += [
        "--work", "/work",
        *(part for one in versions for part in ("--version", one)),
        *(part for one in packages for part in ("--package", one)),
    ]  # fmt: skip
    container["volumeMounts"].append({"name": "work", "mountPath": "/work"})
    pod["volumes"].append({"name": "work", "persistentVolumeClaim": {"claimName": names.work(stack.name)}})
    return made
