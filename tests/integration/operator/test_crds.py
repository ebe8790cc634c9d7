"""The CRDs on a real API server: what it refuses and in which words, columns, immutability, samples."""

import json

import pytest

from .conftest import ROOT, Space, Thing, stack

BAD: dict[str, tuple[Thing, str]] = {
    "unknown operator": (
        {"features": {"user": [{"name": "a", "column": "a", "ops": [{"op": "Hash"}]}]}},
        'Unsupported value: "Hash"',
    ),
    "two sources": (
        {"data": {"source": {"synthetic": {}, "volume": {"claimName": "x"}}}},
        "set exactly one of synthetic, volume and s3",
    ),
    "two artifact stores": (
        {"stores": {"artifacts": {"volume": {}, "s3": {"bucket": "abc"}}}},
        "set at most one of volume and s3",
    ),
    "boundaries missing": (
        {"features": {"user": [{"name": "a", "column": "a", "ops": [{"op": "Bucketize"}]}]}},
        "Bucketize needs boundaries",
    ),
    "one name for two features": (
        {
            "features": {
                "user": [{"name": "a", "column": "a", "ops": [{"op": "LogOp"}]}],
                "item": [{"name": "a", "column": "b", "ops": [{"op": "LogOp"}]}],
            }
        },
        "user and item share one",
    ),
    "topK above candidates": ({"serving": {"topK": 301}}, "topK must not be more than candidates"),
    "minReplicas above maxReplicas": (
        {"autoscaling": {"minReplicas": 9, "maxReplicas": 2}},
        "minReplicas must not be more than maxReplicas",
    ),
    "bottom does not end in the width": (
        {"models": {"ranking": {"bottom": [128, 32]}}},
        "the last of bottom must equal embeddingDim",
    ),
    "a share above one": ({"features": {"coldStart": {"user": 1.5}}}, "should be less than or equal to 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_specs_are_refused_with_a_reason(space: Space, case: str) -> None:
    spec, words = BAD[case]
    done = space.run("apply", "-f", "-", stdin=json.dumps(stack("bad", spec)))
    assert done.returncode != 0
    assert words in done.stderr


def test_schemas_are_structural(space: Space) -> None:
    for found in space.get("crd")["items"]:
        states = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        assert states["Established"] == "True"
        assert "NonStructuralSchema" not in states


def test_what_was_written_is_stored_as_it_is(space: Space) -> None:
    space.stack("plain", {})
    assert space.get("rstack", "plain")["spec"] == {}


def test_a_version_is_immutable(space: Space) -> None:
    version: Thing = {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "one"},
        "spec": {"stack": "plain"},
    }
    space.kubectl("apply", "-f", "-", stdin=json.dumps(version))
    version["spec"]["stack"] = "other"
    done = space.run("apply", "-f", "-", stdin=json.dumps(version))
    assert "the spec of a ModelVersion is immutable" in done.stderr


def test_artifacts_do_not_move(space: Space) -> None:
    space.stack("fixed", {})
    moved = stack("fixed", {"stores": {"artifacts": {"s3": {"bucket": "abc"}}}})
    done = space.run("apply", "-f", "-", stdin=json.dumps(moved))
    assert "stores.artifacts is immutable" in done.stderr


def test_status_is_a_subresource(space: Space) -> None:
    space.stack("plain", {})
    space.kubectl("patch", "rstack", "plain", "--type=merge", "-p", '{"status":{"phase":"Ready"}}')
    assert "status" not in space.get("rstack", "plain")
    space.status("rstack", "plain", {"phase": "Ready", "liveVersion": "plain-1", "readyReplicas": 2})
    header, row = space.kubectl("get", "rstack").splitlines()
    assert header.split() == ["NAME", "READY", "LIVE", "REPLICAS", "PHASE", "AGE"]
    assert row.split()[:4] == ["plain", "plain-1", "2", "Ready"]


def test_explain_tells_the_meaning(space: Space) -> None:
    text = space.kubectl("explain", "rstack.spec.serving.topK")
    assert "Most items a reply can hold." in text


@pytest.mark.parametrize("sample", ["quickstart.yaml", "films.yaml", "s3.yaml"])
def test_samples_apply(space: Space, sample: str) -> None:
    space.kubectl("apply", "--dry-run=server", "-f", str(ROOT / "samples" / sample))
