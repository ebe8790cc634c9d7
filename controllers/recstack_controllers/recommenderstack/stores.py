"""Step: claims of packages and work, and Valkey, managed or external."""

import base64
import secrets as randomness
from collections.abc import Mapping

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.recommenderstack import secrets, status
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.resources import claims, network, valkey
from recstack_controllers.resources.stack import Stack


async def proceed(run: Run, stack: Stack, seen: Observed) -> str:
    """Claims and Valkey; gives the resourceVersion of Valkey's credentials."""
    await secrets.require_s3(run.cluster, run.namespace, stack.artifacts_s3, "spec.stores.artifacts.s3")
    await run.apply(kinds.CLAIM, claims.work(stack))
    packages = claims.artifacts(stack)
    if packages is not None:
        await run.apply(kinds.CLAIM, packages)
    credentials = await _credentials(run, stack)
    secret = await run.apply(kinds.SECRET, valkey.secret(stack, credentials))
    server = valkey.managed(stack)
    if server is not None:
        await run.apply(kinds.SERVICE, valkey.service(stack))
        await run.apply(kinds.NETWORK_POLICY, network.valkey(stack))
        made = await run.apply(kinds.STATEFUL_SET, valkey.stateful_set(stack, server))
        run.conditions.set("StoresReady", *status.stores(made, managed=True))
    else:
        for kind in (kinds.STATEFUL_SET, kinds.SERVICE, kinds.NETWORK_POLICY):
            await run.remove(stack, kind, names.valkey(run.name))
        run.conditions.set("StoresReady", *status.stores(None, managed=False))
    return str(secret["metadata"]["resourceVersion"])


async def _credentials(run: Run, stack: Stack) -> valkey.Credentials:
    external = stack.spec.stores.valkey.external
    if external is not None:
        if not external.secret_name:
            return valkey.Credentials("", "")
        found = await secrets.require(
            run.cluster,
            run.namespace,
            external.secret_name,
            secrets.LOGIN_KEYS,
            "spec.stores.valkey.external.secretName",
        )
        return valkey.Credentials(*(_decoded(found["data"], key) for key in secrets.LOGIN_KEYS))
    own = await run.cluster.get(kinds.SECRET, run.namespace, names.valkey(run.name))
    data = (own or {}).get("data") or {}
    password = _decoded(data, valkey.PASSWORD) if valkey.PASSWORD in data else randomness.token_urlsafe(24)
    return valkey.Credentials("default", password)


def _decoded(data: Mapping[str, str], key: str) -> str:
    return base64.b64decode(data[key]).decode()
