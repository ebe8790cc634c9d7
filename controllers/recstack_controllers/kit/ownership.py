"""Whether every field that was applied is still ours, read from ``metadata.managedFields``.

Somebody who changes a field that was applied takes it over, and it leaves the applier's set:
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management. So drift is seen without
comparing values, which the API server defaults and rewrites. The encoding of the sets is FieldsV1:
https://pkg.go.dev/sigs.k8s.io/structured-merge-diff/v6/fieldpath.
"""

import json
from typing import Any

from recstack_controllers.kit.cluster import FIELD_MANAGER, Manifest

IDENTITY = frozenset({"apiVersion", "kind"})
NAMES = frozenset({"name", "namespace", "uid"})
"""Of the metadata; like kind and version they are nobody's."""


def complete(live: Manifest, applied: Manifest) -> bool:
    """Whether the applier owns all that ``applied`` says; true of an object that tells no owners."""
    if live["metadata"].get("managedFields") is None:
        return True
    content = {key: value for key, value in applied.items() if key not in IDENTITY}
    content["metadata"] = {key: value for key, value in applied["metadata"].items() if key not in NAMES}
    return _owns(_ours(live), {key: value for key, value in content.items() if value})


def holds(live: Manifest, *path: str) -> bool:
    """Whether the applier owns the field at ``path``."""
    fields: dict[str, Any] | None = _ours(live)
    for key in path:
        fields = fields.get(f"f:{key}") if fields is not None else None
    return fields is not None


def _ours(live: Manifest) -> dict[str, Any]:
    """The applier's set of fields."""
    entries = live["metadata"].get("managedFields") or []
    return next(
        (
            entry.get("fieldsV1") or {}
            for entry in entries
            if entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ),
        {},
    )


def _owns(fields: dict[str, Any], value: Any) -> bool:
    if not any(key != "." for key in fields):
        return True  # a leaf, or a list or map that is owned as a whole
    if isinstance(value, dict):
        return all(f"f:{key}" in fields and _owns(fields[f"f:{key}"], one) for key, one in value.items())
    if isinstance(value, list):
        return all(_owns_item(fields, item) for item in value)
    return True


def _owns_item(fields: dict[str, Any], item: Any) -> bool:
    """An item of a list with keys; one of a set of plain values is there or is not."""
    if not isinstance(item, dict):
        return f"v:{json.dumps(item)}" in fields
    for key, below in fields.items():
        if not key.startswith("k:"):
            continue
        # Keys may hold defaults that were not applied (a port's protocol): those do not tell items apart.
        wanted: dict[str, Any] = json.loads(key.removeprefix("k:"))
        if all(item.get(name, given) == given for name, given in wanted.items()):
            return _owns(below, item)
    return False
