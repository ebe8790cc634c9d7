"""The parent that a fine-tune goes on from."""

from recstack_crds.v1alpha1 import ModelVersionStatus
from recstack_crds.v1alpha1.modelversion import ParentStatus

from recstack_controllers import kinds
from recstack_controllers.kit import decode, names
from recstack_controllers.kit.errors import Waiting
from recstack_controllers.modelversion.run import Run
from recstack_controllers.resources.configmaps import read_plan
from recstack_controllers.resources.stack import Stack

PARENT_RETRY = 15.0


async def find(run: Run, stack: Stack) -> None:
    """The package that a fine-tune goes on from, recorded before its first Job is created.

    Raises:
        Waiting: the parent has no package, or not yet.
    """
    parent = run.version.spec.parent
    if parent is None or run.parent is not None:
        return
    if parent.startswith("sha256:"):
        run.parent = ParentStatus(package=parent)
    else:
        run.parent = ParentStatus(version=parent, package=await _package_of(run, stack, parent))
    await run.record()


async def _package_of(run: Run, stack: Stack, name: str) -> str:
    found = await run.cluster.get(kinds.MODEL_VERSION, run.namespace, name)
    if found is not None and found["spec"].get("stack") == stack.name:
        package = decode.status(ModelVersionStatus, found).package
        if package:
            return package
        raise Waiting("ParentNotPackaged", f"Its parent {name} has no package yet.", PARENT_RETRY)
    # What pods hold goes on to be a parent when its ModelVersion is deleted.
    plan, _ = read_plan(await run.cluster.get(kinds.CONFIG_MAP, run.namespace, names.plan(stack.name)))
    planned = next((one.digest for one in plan.versions if one.name == name), None)
    if planned is None:
        text = f"Stack {stack.name} has no ModelVersion {name} to go on from: delete this one, name another."
        raise Waiting("ParentMissing", text, PARENT_RETRY)
    return planned
