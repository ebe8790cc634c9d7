from typing import Any

import pytest
from recstack_controllers.kit import ownership

APPLIED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "x", "namespace": "y", "labels": {"a": "1"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {"containers": [{"name": "c", "image": "i", "args": ["p", "q"]}], "volumes": []}
        },
    },
}
FIELDS: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"c"}': {".": {}, "f:name": {}, "f:image": {}, "f:args": {}},
                },
                "f:volumes": {},
            }
        },
    },
}


def live(fields: dict[str, Any], **entry: Any) -> dict[str, Any]:
    ours = {"manager": "recstack", "operation": "Apply", "fieldsV1": fields} | entry
    return {
        "metadata": {"managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}, ours]}
    }


def test_all_that_was_applied_is_ours() -> None:
    assert ownership.complete(live(FIELDS), APPLIED)


@pytest.mark.parametrize(
    "path",
    [
        ("f:metadata", "f:labels", "f:a"),
        ("f:spec", "f:replicas"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"c"}', "f:image"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"c"}'),
    ],
)
def test_a_field_that_somebody_took_over_is_missed(path: tuple[str, ...]) -> None:
    def without(fields: dict[str, Any], rest: tuple[str, ...]) -> dict[str, Any]:
        if len(rest) == 1:
            # Something stays beside it, as an empty set would stand for a leaf.
            return {key: value for key, value in fields.items() if key != rest[0]} | {"f:other": {}}
        return {key: without(value, rest[1:]) if key == rest[0] else value for key, value in fields.items()}

    assert not ownership.complete(live(without(FIELDS, path)), APPLIED)


def test_an_update_of_ours_or_of_a_subresource_is_not_the_apply() -> None:
    assert not ownership.complete(live({"f:spec": {"f:x": {}}}), APPLIED)
    assert ownership.complete({"metadata": {}}, APPLIED)


def test_keys_that_the_server_completed_still_match() -> None:
    applied = {"metadata": {}, "spec": {"ports": [{"port": 80, "name": "http"}]}}
    fields: dict[str, Any] = {
        "f:spec": {
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}},
        }
    }
    assert ownership.complete(live(fields), applied)
