"""Pure: which files of versions that are gone may go too."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1.recommenderstack import MAX_LEAVING, Leaving

from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources.configmaps import Plan


@dataclass(frozen=True)
class Pruning:
    """``leaving``: the status; ``delete``: ModelVersions to delete; the Job's ``versions``, ``packages``."""

    leaving: tuple[Leaving, ...]
    delete: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def decide(
    before: Sequence[Leaving], past: Sequence[str], known: Sequence[Known], there: Iterable[str], plan: Plan
) -> Pruning:
    """What goes now.

    ``past``: versions beyond the history limit; ``there``: every ModelVersion of the namespace, also those
    that are being deleted.

    A version is recorded as leaving before it is deleted, so that an operator that is killed in between
    forgets no package. Its files go when it is gone and nothing is trained: a training could just now publish
    a package of the same content, or go on from one.
    """
    names = {one.name: one for one in known}
    alive = set(there)
    recorded = {one.version for one in before}
    # A name that is there again (its recipe came back) was made anew: its files are its own.
    leaving = [one for one in before if one.version not in names or one.version in past]
    room = MAX_LEAVING - len(leaving)
    new = [Leaving(version=name, package=names[name].package) for name in past if name not in recorded][:room]
    delete = tuple(name for name in past if name in recorded)
    gone = [one for one in leaving if one.version not in alive]
    if not gone or any(one.in_training for one in known):
        return Pruning((*leaving, *new), delete)
    used = in_use(known, plan)
    packages = tuple(dict.fromkeys(one.package for one in gone if one.package and one.package not in used))
    return Pruning((*leaving, *new), delete, tuple(one.version for one in gone), packages)


def in_use(known: Sequence[Known], plan: Plan) -> set[str]:
    """Digests of packages that must stay: of a version, of a parent, and of what pods hold or are told to."""
    mine = {one.package for one in known if one.package}
    parents = {one.parent.package for one in known if one.parent is not None and not one.packaged}
    return mine | parents | {one.digest for one in plan.versions}


def done(pruning: Pruning) -> tuple[Leaving, ...]:
    """The status after the Job has ended well."""
    return tuple(one for one in pruning.leaving if one.version not in pruning.versions)
