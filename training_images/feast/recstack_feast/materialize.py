"""From the offline files to the online store."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from feast import Entity, FeatureStore, FeatureView

from recstack_feast.definitions import Definitions
from recstack_feast.errors import BadInput

OVERLAP = timedelta(hours=1)
"""Read again by an increment: a file may appear later than the moment that its rows are of."""
Clock = Callable[[], datetime]


def now() -> datetime:
    """The moment, UTC."""
    return datetime.now(UTC)


def apply(store: FeatureStore, objects: list[Entity | FeatureView]) -> None:
    """Make the registry say what ``objects`` say, and nothing else of this project."""
    wanted = {one.name for one in objects if isinstance(one, FeatureView)}
    gone = [view for view in store.list_feature_views() if view.name not in wanted]
    store.apply([*objects], objects_to_delete=gone, partial=not gone)


def full(store: FeatureStore, definitions: Definitions, clock: Clock = now) -> None:
    """All rows that are not older than their view's ttl."""
    end = clock()
    for view in definitions.views:
        store.materialize(end - timedelta(seconds=view.ttl_seconds), end, feature_views=[view.name])


def increment(store: FeatureStore, definitions: Definitions, clock: Clock = now) -> None:
    """Rows since the last time, and of the hour before it."""
    end = clock()
    for view in definitions.views:
        since = store.get_feature_view(view.name).most_recent_end_time
        if since is None:
            raise BadInput(
                "NotMaterialized", f"View {view.name} was never materialized: do that in full first."
            )
        oldest = end - timedelta(seconds=view.ttl_seconds)
        store.materialize(max(oldest, since.astimezone(UTC) - OVERLAP), end, feature_views=[view.name])
