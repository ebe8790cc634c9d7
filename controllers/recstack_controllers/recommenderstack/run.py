"""One pass over one stack: what is known of it, what it writes, and the one status at its end."""

from datetime import datetime
from typing import Any

from recstack_crds.v1alpha1 import RecommenderStackStatus

from recstack_controllers import kinds
from recstack_controllers.kit import decode
from recstack_controllers.kit import status as statuses
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, EventType, Kind, Manifest
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.recommenderstack import status
from recstack_controllers.resources.stack import Stack
from recstack_controllers.settings import Settings

POLL = 1.0
"""Seconds between looks while pods load or drain: what they say of it is no event of the API server."""


class Run:
    """One pass over one stack; events are sent after the status they tell of is written.

    ``fields``: the status but its conditions, as it will be written. ``stalled``: the condition that only a
    person can help, if any. ``wake``: when the clock alone changes something. ``stage``: the condition that
    an error now belongs to. ``online``: whether the feature store has features.
    """

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings, live: Manifest) -> None:
        metadata = live["metadata"]
        self.cluster, self.settings, self.live = cluster, settings, live
        self.namespace, self.name = metadata["namespace"], metadata["name"]
        self.before = before = decode.status(RecommenderStackStatus, live)
        self.now = clock.now()
        self.conditions = Conditions(before.conditions, metadata["generation"], self.now)
        self.fields: dict[str, Any] = before.model_dump(
            exclude={"conditions", "phase", "observed_generation"}
        )
        self.fields |= {"rollout": before.rollout, "rolled_back": before.rolled_back}
        self._events: list[tuple[EventType, str, str]] = []
        self._was = {type: self.conditions.is_true(type) for type in ("Ready", "Stalled")}
        self.stalled: str | None = None
        self.wake: list[datetime] = []
        self.stage = ""
        self.online = False

    def conclude(self) -> None:
        """Ready, Reconciling and Stalled of a pass that came to its end."""
        status.conclude(self.conditions, stalled=self.stalled)

    def fail(self, reason: str, message: str, *, stalled: bool) -> None:
        """Ready, Reconciling and Stalled of a pass that did not, and the part that it failed in."""
        if self.stage:
            self.conditions.set(self.stage, State.FALSE, reason, message)
        self.conditions.set("Ready", State.FALSE, reason, message)
        bad = self.conditions.get("Ready")
        assert bad is not None
        status.settle(self.conditions, bad, stalled=stalled)

    def tell(self, type: EventType, reason: str, message: str) -> None:
        """Queue an event."""
        self._events.append((type, reason, message))

    def set_or_remove(self, type: str, fact: status.Fact | None) -> None:
        """A condition; None: there is nothing that it could say."""
        if fact is None:
            self.conditions.remove(type)
        else:
            self.conditions.set(type, *fact)

    async def record(self) -> None:
        """Write the status if it differs, then send the events."""
        if await self._gone():
            return
        wanted = RecommenderStackStatus(
            observed_generation=self.live["metadata"]["generation"],
            phase=status.phase(self.conditions),
            conditions=self.conditions.as_list(status.ORDER),
            **self.fields,
        )
        stalled, ready = self.conditions.get("Stalled"), self.conditions.get("Ready")
        if stalled is not None and stalled.status == State.TRUE and not self._was["Stalled"]:
            self.tell("Warning", stalled.reason, stalled.message)
        if ready is not None and ready.status == State.TRUE and not self._was["Ready"]:
            self.tell("Normal", "Ready", ready.message)
        self.live = await statuses.write(self.cluster, kinds.RECOMMENDER_STACK, self.live, wanted)
        for event in self._events:
            await self.cluster.event(self.live, *event)

    async def _gone(self) -> bool:
        """Whether the last finalizer was taken off in this pass: there is no status to write then."""
        metadata = self.live["metadata"]
        return bool(metadata.get("deletionTimestamp")) and not metadata.get("finalizers")

    async def apply(self, kind: Kind, manifest: Manifest, over: Manifest | None = None) -> Manifest:
        """Write a child if it differs; gives it as it is then. ``over``: only if it still is that."""
        return await apply(self.cluster, kind, manifest, over)

    async def remove(self, stack: Stack, kind: Kind, name: str) -> None:
        """Delete a child that the spec no longer asks for; nothing that is not the stack's own."""
        found = await self.cluster.get(kind, self.namespace, name)
        if found is not None and _owns(stack, found):
            await self.cluster.delete(kind, self.namespace, name, "Background")


def _owns(stack: Stack, manifest: Manifest) -> bool:
    owners = manifest["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == stack.uid for owner in owners)
