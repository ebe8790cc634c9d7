"""Watches, by kopf: every event only marks keys as dirty. The only module that knows kopf.

Handlers of kopf's ``on.event`` kind see every change and keep no state on the objects (no annotations, no
finalizers), which suits a level-triggered reconcile; an error in one would be dropped, so none does any work.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kopf
from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Kind

LOG = logging.getLogger(__name__)
STREAM_SECONDS = 300
"""A watch is opened anew this often, so that a connection that died unseen is found."""
OWN = (kinds.RECOMMENDER_STACK, kinds.MODEL_VERSION)

Observer = Callable[[Kind, Mapping[str, Any], bool], None]
"""Called with kind, object, and whether it was deleted."""


def registry(watched: Sequence[Kind], observe: Observer) -> kopf.OperatorRegistry:
    """Handlers that hand every event of the kinds to ``observe``."""
    result = kopf.OperatorRegistry()

    @kopf.on.login(registry=result)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    for kind in watched:
        group, _, version = kind.api_version.rpartition("/")
        labels = None if kind in OWN else {names.STACK: kopf.PRESENT}
        kopf.on.event(group, version, kind.plural, id=kind.plural, labels=labels, registry=result)(
            _handler(kind, observe)
        )
    return result


def _handler(kind: Kind, observe: Observer) -> Callable[..., None]:
    def handle(type: str | None, body: Mapping[str, Any], **_: Any) -> None:
        observe(kind, body, type == "DELETED")

    return handle


def settings(watched: Sequence[Kind]) -> kopf.OperatorSettings:
    """No peering (a Lease decides who leads), no events of kopf's own, only our objects over the wire."""
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.posting.enabled = False
    result.scanning.disabled = True
    result.watching.server_timeout = STREAM_SECONDS
    result.watching.client_timeout = STREAM_SECONDS + 60
    result.networking.connect_timeout = 5
    for kind in watched:
        if kind not in OWN:
            group = kind.api_version.rpartition("/")[0]
            result.watching.label_selectors[group, kind.plural] = names.STACK
    return result


class Watching:
    """kopf in a thread with a loop of its own: when it stops it cancels every task of its loop, ours too.

    ``observe`` is called in ``loop``, the one that makes this object.
    """

    def __init__(self, watched: Sequence[Kind], namespaces: Sequence[str], observe: Observer) -> None:
        loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self._stop = threading.Event()

        def observed(kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
            loop.call_soon_threadsafe(observe, kind, body, deleted)

        def run() -> None:
            try:
                asyncio.run(
                    kopf.operator(
                        registry=registry(watched, observed),
                        settings=settings(watched),
                        standalone=True,
                        clusterwide=not namespaces,
                        namespaces=list(namespaces),
                        stop_flag=self._stop,
                    )
                )
            except Exception:
                LOG.exception("the watches have ended")
            finally:
                loop.call_soon_threadsafe(self.ended.set)

        self._thread = threading.Thread(target=run, name="watches", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the watches."""
        self._stop.set()
        await self.ended.wait()
