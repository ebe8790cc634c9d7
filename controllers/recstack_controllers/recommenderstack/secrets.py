"""Secrets that others must make, looked for before anything that needs them is started."""

from recstack_crds.v1alpha1.data import S3Location

from recstack_controllers import kinds
from recstack_controllers.kit.cluster import Cluster, Manifest
from recstack_controllers.kit.errors import Waiting

RETRY = 15.0
"""Seconds between looks: Secrets are not watched, as that takes the right to read all of them."""
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
LOGIN_KEYS = ("username", "password")


async def require(cluster: Cluster, namespace: str, name: str, keys: tuple[str, ...], field: str) -> Manifest:
    """The Secret.

    Raises:
        Waiting: it or one of its keys is missing.
    """
    found = await cluster.get(kinds.SECRET, namespace, name)
    if found is None:
        raise Waiting(
            "SecretMissing",
            f"There is no Secret {name} in {namespace}, which {field} names: "
            f"create it with keys {' and '.join(keys)}.",
            RETRY,
        )
    missing = [key for key in keys if key not in (found.get("data") or {})]
    if missing:
        raise Waiting(
            "SecretMissing",
            f"Secret {name} in {namespace}, which {field} names, has no key "
            f"{' and no key '.join(missing)}: add it.",
            RETRY,
        )
    return found


async def require_s3(cluster: Cluster, namespace: str, location: S3Location | None, field: str) -> None:
    """Check the Secret of ``location``, if it names one."""
    if location is not None and location.secret_name:
        await require(cluster, namespace, location.secret_name, S3_KEYS, f"{field}.secretName")
