"""The Job that looks at the data: which days there are, how far the newest is from those of training."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import job as jobs
from recstack_controllers.resources import pods
from recstack_controllers.resources.stack import Stack, Version
from recstack_controllers.resources.steps import Step

KEPT_SECONDS = 600
"""A finished Job stays that long; its result stands in the status within seconds."""

MEMORY = "2Gi"
"""A day's columns, whatever a training step needs."""


def job(stack: Stack, version: Version, time: str, last: str) -> Manifest:
    """Job of the look that was due at ``time``, RFC 3339; ``version``, live, is made of days up to ``last``.

    It runs as the step that reads the source does, and reads what that version left on the work volume.
    """
    made = jobs.job(stack, version, Step.INGEST)
    metadata = stack.metadata(names.check(stack.name, time), "training")
    template = made["spec"]["template"]
    metadata["labels"] |= {names.CHECK: metadata["name"]}
    template["metadata"] = {"labels": dict(metadata["labels"])}
    (container,) = template["spec"]["containers"]
    place = container["command"].index(Step.INGEST.value)
    container["command"][place] = "check"
    container["command"] += ["--after", last]
    container["resources"] = pods.resources("100m", MEMORY, 0)
    made["spec"] |= {"backoffLimit": 1, "ttlSecondsAfterFinished": KEPT_SECONDS}
    return made | {"metadata": metadata}
