"""The CRDs on a real API server: what it takes, what it refuses and in which words, what people see."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import ROOT, Kube, Thing
from recstack_controllers import kinds

API_VERSION = "recstack.dev/v1alpha1"
CRDS = ("recommenderstacks.recstack.dev", "modelversions.recstack.dev")


def stack(spec: Thing, name: str = "shop") -> str:
    found = {"apiVersion": API_VERSION, "kind": "RecommenderStack", "metadata": {"name": name}, "spec": spec}
    return json.dumps(found)


def version(spec: Thing, name: str = "by-hand") -> str:
    found = {"apiVersion": API_VERSION, "kind": "ModelVersion", "metadata": {"name": name}, "spec": spec}
    return json.dumps(found)


def refusal(kube: Kube, space: str, thing: str) -> str:
    done = kube.try_kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=thing)
    assert done.returncode != 0, "the API server took it"
    return done.stderr


@pytest.mark.parametrize("name", CRDS)
def test_the_schema_is_structural_and_all_of_it_accepted(kube: Kube, name: str) -> None:
    crd = json.loads(kube.kubectl("get", "crd", name, "-o", "json"))
    state = {one["type"]: one["status"] for one in crd["status"]["conditions"]}
    assert state["Established"] == "True"
    assert state["NamesAccepted"] == "True"
    assert state.get("NonStructuralSchema", "False") == "False"
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}


def op(name: str, **more: Any) -> Thing:
    return {"op": name, **more}


def user(*features: Thing, **more: Any) -> Thing:
    return {"features": {"user": list(features), **more}}


def nightly(**more: Any) -> Thing:
    return {"training": {"schedules": [{"name": "nightly", "cron": "30 2 * * *"} | more]}}


def feature(name: str, *ops: Thing, **more: Any) -> Thing:
    return {"name": name, "column": name, "ops": list(ops or (op("Categorify"),)), **more}


def embedding(name: str, source: Thing | None = None, **more: Any) -> Thing:
    return {"name": name, "from": source or {"text": {"column": "title"}}, **more}


S3 = {"bucket": "models"}
ATHENA = {"database": "shop", "region": "eu-central-1", "s3StagingLocation": "s3://shop/athena"}


def offline(*, s3: Thing | None = None, **stores: Any) -> Thing:
    return {"stores": {"feast": {"offline": stores}} | ({"artifacts": {"s3": s3}} if s3 else {})}


def canary(*steps: Thing) -> Thing:
    return {"rollout": {"strategy": {"type": "Canary", "canary": {"steps": list(steps)}}}}


def triggered(**more: Any) -> Thing:
    return {"training": {"triggers": more}}


BAD: dict[str, tuple[Thing, str]] = {
    "two offline stores": (offline(files={}, athena=ATHENA, s3=S3), "at most one of files and athena"),
    "Athena without S3": (offline(athena=ATHENA), "set artifacts.s3, without endpoint"),
    "Athena on another S3": (
        offline(athena=ATHENA, s3=S3 | {"endpoint": "http://s3:9000"}),
        "set artifacts.s3, without endpoint",
    ),
    "unknown operator": (user(feature("a", op("Hash"))), 'Unsupported value: "Hash"'),
    "buckets without boundaries": (user(feature("a", op("Bucketize"))), "Bucketize needs boundaries"),
    "falling boundaries": (
        user(feature("a", op("Bucketize", boundaries=[3, 1]))),
        "boundaries must rise",
    ),
    "boundaries of another operator": (
        user(feature("a", op("Categorify", boundaries=[1]))),
        "only Bucketize takes boundaries",
    ),
    "a clip without bounds": (user(feature("a", op("Clip"))), "Clip needs min, max or both"),
    "a clip the wrong way": (user(feature("a", op("Clip", min=2, max=1))), "min must be less than max"),
    "bounds of another operator": (
        user(feature("a", op("Normalize", max=1))),
        "Clip needs min, max or both, and no other operator takes them",
    ),
    "a function's operator without function": (
        user(feature("a", op("LambdaOp"))),
        "LambdaOp, and only it, needs function",
    ),
    "a function of another operator": (
        user(feature("a", op("Normalize", function="numpy:cbrt"))),
        "LambdaOp, and only it, needs function",
    ),
    "a function that is none": (
        user(feature("a", op("LambdaOp", function="numpy.cbrt(x)"))),
        "should match",
    ),
    "a filling without value": (user(feature("a", op("FillMissing"))), "FillMissing needs value"),
    "a value of another operator": (
        user(feature("a", op("Clip", min=0, value=1))),
        "FillMissing needs value, and no other operator takes it",
    ),
    "a hash without buckets": (user(feature("a", op("HashBucket"))), "HashBucket needs numBuckets"),
    "one name twice in a table": (user(feature("a"), feature("a")), 'duplicate entries for key [name="a"]'),
    "one name in two tables": (
        user(feature("a"), item=[feature("a")]),
        "a feature's name must be unique in the stack: user and item share one",
    ),
    "derived item feature": (
        {"features": {"item": [feature("a", mostFrequent="b")]}},
        "mostFrequent is for user features only",
    ),
    "an embedding named as a feature": (
        user(feature("a"), embeddings=[embedding("a")]),
        "a feature's name must be unique in the stack: user and embeddings share one",
    ),
    "an embedding of both": (
        {"features": {"embeddings": [embedding("a", {"text": {"column": "a"}, "image": {"path": "{id}"}})]}},
        "set exactly one of text and image",
    ),
    "a file of texts without its id": (
        {"features": {"embeddings": [embedding("a", {"text": {"column": "a", "path": "b"}})]}},
        "path and id go together",
    ),
    "one picture for all": (
        {"features": {"embeddings": [embedding("a", {"image": {"path": "a.jpg"}})]}},
        "should match",
    ),
    "pictures of elsewhere": (
        {"features": {"embeddings": [embedding("a", {"image": {"path": "../{id}.jpg"}})]}},
        "path must stay within the data source",
    ),
    "weights of two places": (
        {"features": {"embeddings": [embedding("a", encoder={"weights": {"hub": {}, "s3": S3}})]}},
        "set exactly one of volume, s3 and hub",
    ),
    "weights on two servers": (
        {
            "features": {
                "embeddings": [
                    embedding("a", encoder={"weights": {"s3": S3}}),
                    embedding("b", encoder={"weights": {"s3": {**S3, "endpoint": "http://minio"}}}),
                ]
            }
        },
        "must share endpoint, region and secretName",
    ),
    "feature without operators": (
        {"features": {"user": [{"name": "a", "column": "a", "ops": []}]}},
        "should have at least 1 items",
    ),
    "two sources": (
        {"data": {"source": {"synthetic": {}, "s3": S3}}},
        "set exactly one of synthetic, volume and s3",
    ),
    "no source": ({"data": {"source": {}}}, "set exactly one of synthetic, volume and s3"),
    "two Valkeys": (
        {"stores": {"valkey": {"managed": {}, "external": {"host": "v"}}}},
        "set at most one of managed and external",
    ),
    "packages in two places": (
        {"stores": {"artifacts": {"volume": {}, "s3": S3}}},
        "set at most one of volume and s3",
    ),
    "a version for an age without a limit": (
        triggered(onStale="Full"),
        "triggers.onStale needs maxStaleness",
    ),
    "TensorRT without a GPU": (
        {"serving": {"gpuRuntime": "TensorRT"}},
        "gpuRuntime needs gpus: with 0 the networks run on the CPU",
    ),
    "topK above candidates": (
        {"serving": {"candidates": 10, "topK": 20}},
        "topK must not be more than candidates",
    ),
    "topK's default above candidates": (
        {"serving": {"candidates": 10}},
        "topK must not be more than candidates (defaults: topK 100, candidates 300)",
    ),
    "cap on a feature that is none": (
        {"serving": {"diversity": {"maxPerValue": {"feature": "colour"}}}},
        "maxPerValue.feature must be the name of an item feature",
    ),
    "cap on a feature that is not declared any more": (
        {
            "features": {"item": [feature("a")]},
            "serving": {"diversity": {"maxPerValue": {"feature": "category_l1"}}},
        },
        "maxPerValue.feature must be the name of an item feature",
    ),
    "fewest above most": (
        {"autoscaling": {"minReplicas": 9}},
        "minReplicas must not be more than maxReplicas",
    ),
    "bottom against embedding": (
        {"models": {"ranking": {"embeddingDim": 16}}},
        "the last of bottom must equal embeddingDim",
    ),
    "unknown gate": (
        {"evaluation": {"gates": [{"metric": "f1", "min": 0.1}]}},
        "spec.evaluation.gates[0].metric in body should match",
    ),
    "gate that asks nothing": (
        {"evaluation": {"gates": [{"metric": "auc"}]}},
        "set exactly one of min and max, or relativeTo",
    ),
    "gate with two bounds": (
        {"evaluation": {"gates": [{"metric": "auc", "min": 0, "max": 1}]}},
        "set exactly one of min and max, or relativeTo",
    ),
    "relative and absolute gate": (
        {"evaluation": {"gates": [{"metric": "auc", "min": 0, "relativeTo": "live", "minRatio": 1}]}},
        "relativeTo goes with exactly one of minRatio and minDifference",
    ),
    "relative gate without a bound": (
        {"evaluation": {"gates": [{"metric": "auc", "relativeTo": "live"}]}},
        "relativeTo goes with exactly one of minRatio and minDifference",
    ),
    "ratio without relativeTo": (
        {"evaluation": {"gates": [{"metric": "auc", "min": 0.5, "minRatio": 1}]}},
        "minRatio, minDifference and confidence need relativeTo",
    ),
    "relative coverage": (
        {"evaluation": {"gates": [{"metric": "coverage@10", "relativeTo": "live", "minRatio": 1}]}},
        "relativeTo goes with recall@k, ndcg@k, novelty@k and auc only",
    ),
    "slice of the lift": (
        {"evaluation": {"gates": [{"metric": "recall@10/popularity", "slice": "newUsers", "min": 1}]}},
        "recall@10/popularity and indexRecall are measured over all requests: leave slice out",
    ),
    "slice of the index": (
        {"evaluation": {"gates": [{"metric": "indexRecall", "slice": "newUsers", "min": 1}]}},
        "recall@10/popularity and indexRecall are measured over all requests: leave slice out",
    ),
    "relative to the live index": (
        {"evaluation": {"gates": [{"metric": "indexRecall", "relativeTo": "live", "minRatio": 1}]}},
        "relativeTo goes with recall@k, ndcg@k, novelty@k and auc only",
    ),
    "lists without IVF": (
        {"models": {"retrieval": {"index": {"nlist": 8}}}},
        "nlist and nprobe need type: IVF",
    ),
    "a graph's breadth in IVF": (
        {"models": {"retrieval": {"index": {"type": "IVF", "efSearch": 8}}}},
        "m, efConstruction and efSearch need type: HNSW",
    ),
    "more probes than lists": (
        {"models": {"retrieval": {"index": {"type": "IVF", "nlist": 8, "nprobe": 9}}}},
        "nprobe must not be more than nlist",
    ),
    "trending by what is no item feature": (
        {"serving": {"trending": {"by": ["colour"]}}},
        "serving.trending.by must name item features (features.item)",
    ),
    "more trending items than candidates": (
        {"serving": {"trending": {"coldCandidates": 301}}},
        "trending.candidates and trending.coldCandidates must not be more than candidates",
    ),
    "slice of no segment": (
        {"evaluation": {"gates": [{"metric": "auc", "slice": "colour=red", "min": 0.5}]}},
        "a gate's slice names a segment that is not declared in segments",
    ),
    "negative number": ({"serving": {"replicas": -1}}, "should be greater than or equal to 0"),
    "zero learning rate": (
        {"models": {"retrieval": {"learningRate": 0}}},
        "should be greater than 0",
    ),
    "a schedule of four fields": (nightly(cron="0 2 * *"), "should match"),
    "a schedule for what does not exist": (nightly(kind="Partial"), 'Unsupported value: "Partial"'),
    "a time zone of odd characters": (nightly(timeZone="../etc"), "should match"),
    "one schedule twice": (
        {"training": {"schedules": nightly()["training"]["schedules"] * 2}},
        'duplicate entries for key [name="nightly"]',
    ),
    "no duration": ({"training": {"maxStaleness": "1 day"}}, "should match"),
    "a latency without most": (
        {"evaluation": {"gates": [{"metric": "latencyP99", "min": 1}]}},
        "latencyP50 and latencyP99 go with max",
    ),
    "weights that fall": (canary({"weight": 50}, {"weight": 5}), "the weights of steps must rise"),
    "one weight twice": (canary({"weight": 5}, {"weight": 5}), "the weights of steps must rise"),
    "a weight above all": (canary({"weight": 101}), "should be less than or equal to 100"),
    "a weight of nobody": (canary({"weight": 0}), "should be greater than or equal to 1"),
    "steps of another strategy": (
        {"rollout": {"strategy": {"type": "Shadow", "canary": {}}}},
        "canary goes with type: Canary",
    ),
    "mirroring of another strategy": (
        {"rollout": {"strategy": {"shadow": {"fraction": 0.5}}}},
        "shadow goes with type: Shadow",
    ),
    "two versions where only one has room": (
        {"rollout": {"memoryFallback": "Recreate", "strategy": {"type": "Canary"}}},
        "memoryFallback: Recreate and Surge go with strategy.type: Immediate",
    ),
    "clicks of people who are not divided": (
        {"rollout": {"soak": {"clickThrough": {"maxDrop": 0.1}}}},
        "soak.clickThrough needs strategy.type: Canary",
    ),
    "no name of a version": ({"rollout": {"pin": "A_B"}}, "should match"),
    "no quantity": ({"training": {"memory": "a lot"}}, "should match"),
    "share above one": ({"serving": {"seenFilter": {"errorRate": 2}}}, "should be less than or equal to 1"),
    "unknown field": ({"serving": {"replicaz": 1}}, "field not declared in schema"),
    "wrong type": ({"suspend": "yes"}, "suspend"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_spec_that_cannot_be_is_refused_in_words(kube: Kube, space: str, case: str) -> None:
    spec, message = BAD[case]
    assert message in refusal(kube, space, stack(spec))


@pytest.mark.parametrize(
    "spec",
    [
        {"serving": {"diversity": {"maxPerValue": {"feature": "category_l1", "max": 2}}}},
        {
            "features": {"item": [feature("genre")]},
            "serving": {"graph": "ensemble", "diversity": {"maxPerValue": {"feature": "genre"}}},
        },
    ],
)
def test_a_cap_on_a_feature_of_items_is_taken(kube: Kube, space: str, spec: dict[str, Any]) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack(spec, "capped"))


@pytest.mark.parametrize("name", ["a" * 37, "9lives", "shop.one"])
def test_a_name_that_labels_cannot_carry_is_refused(kube: Kube, space: str, name: str) -> None:
    message = "the name of a RecommenderStack must be a DNS label that begins with a letter"
    assert message in refusal(kube, space, stack({}, name))


def test_a_version_never_changes(kube: Kube, space: str) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=version({"stack": "shop"}))
    message = "the spec of a ModelVersion is immutable: make a new ModelVersion"
    assert message in refusal(kube, space, version({"stack": "shop", "promote": "Manual"}))
    assert message in refusal(kube, space, version({"stack": "other"}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kind": "FineTune"}, "kind FineTune needs parent"),
        ({"parent": "shop-1"}, "kind Full must not have one"),
        ({"kind": "FineTune", "parent": "sha256:12"}, "spec.parent"),
        ({"kind": "FineTune", "parent": "by-hand"}, "spec.parent is the version itself"),
        ({"days": {"first": "day_09.parquet", "last": "day_01.parquet"}}, "first must not be after last"),
        ({"days": {"first": "day_09.parquet"}}, "spec.days.last: Required value"),
    ],
)
def test_parents_and_days_that_cannot_be(kube: Kube, space: str, more: Thing, message: str) -> None:
    assert message in refusal(kube, space, version({"stack": "shop"} | more))


@pytest.mark.parametrize("parent", ["shop-1a2b3c4d", "sha256:" + "a" * 64])
def test_a_fine_tune_is_taken(kube: Kube, space: str, parent: str) -> None:
    days = {"first": "seen/day_12.parquet", "last": "seen/day_12.parquet"}
    found = version({"stack": "shop", "kind": "FineTune", "parent": parent, "days": days})
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=found)


def test_a_version_names_its_stack(kube: Kube, space: str) -> None:
    assert "spec.stack: Required value" in refusal(kube, space, version({}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"stores": {"artifacts": {"s3": S3}}}),
        ({"stores": {"artifacts": {"s3": S3}}}, {"stores": {"artifacts": {"s3": {"bucket": "other"}}}}),
        ({"stores": {"artifacts": {"s3": S3}}}, {"suspend": True}),
    ],
)
def test_packages_do_not_move(kube: Kube, space: str, before: Thing, after: Thing) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack(before))
    message = "stores.artifacts is immutable: packages are not moved; make a new stack"
    assert message in refusal(kube, space, stack(after))


def test_what_is_not_said_is_not_stored(kube: Kube, space: str) -> None:
    """No defaults on the server: a GitOps tool would see them as drift for ever."""
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack({"serving": {"topK": 5}}))
    found = kube.get(kinds.RECOMMENDER_STACK, space, "shop")
    assert found is not None
    assert found["spec"] == {"serving": {"topK": 5}}


def test_a_status_is_written_apart_from_the_spec(kube: Kube, space: str) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack({}))
    kube.patch(kinds.RECOMMENDER_STACK, space, "shop", {"status": {"phase": "Ready"}})
    found = kube.status(kinds.RECOMMENDER_STACK, space, "shop", {"phase": "Ready", "liveVersion": "shop-1"})
    assert found["status"] == {"phase": "Ready", "liveVersion": "shop-1"}
    assert found["metadata"]["generation"] == 1
    found = kube.patch(kinds.RECOMMENDER_STACK, space, "shop", {"spec": {"suspend": True}, "status": None})
    assert found["status"]["phase"] == "Ready"
    assert found["metadata"]["generation"] == 2


def printed(table: str) -> dict[str, str]:
    """The first row of a table by the names of its columns, whose place tells an empty cell."""
    head, row = table.splitlines()
    begins = [match.start() for match in re.finditer(r"\S+", head)] + [len(head) + len(row)]
    return {head[begin:end].strip(): row[begin:end].strip() for begin, end in itertools.pairwise(begins)}


def test_people_see_what_matters_in_a_list(kube: Kube, space: str) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack({}))
    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=version({"stack": "shop"}))
    since = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": since}
    kube.status(
        kinds.RECOMMENDER_STACK,
        space,
        "shop",
        {"phase": "Ready", "liveVersion": "by-hand", "conditions": [ready]},
    )
    kube.status(
        kinds.MODEL_VERSION,
        space,
        "by-hand",
        {"phase": "Live", "metrics": {"recall@10": 0.2468, "auc": 0.8}, "conditions": [ready]},
    )
    found = printed(kube.kubectl("-n", space, "get", "rstack"))
    assert found["NAME"] == "shop"
    assert found["READY"] == "True"
    assert found["PHASE"] == "Ready"
    assert found["LIVE"] == "by-hand"
    found = printed(kube.kubectl("-n", space, "get", "mver"))
    assert found["STACK"] == "shop"
    assert found["PHASE"] == "Live"
    assert found["RECALL"] == "0.2468"
    assert kube.kubectl("-n", space, "get", "recstack", "-o", "name").splitlines() == [
        "modelversion.recstack.dev/by-hand",
        "recommenderstack.recstack.dev/shop",
    ]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("rstack.spec.serving.topK", "Most items a reply can hold."),
        ("rstack.status.liveVersion", "ModelVersion that answers."),
        ("mver.spec.promote", "serves when its gates pass"),
        ("mver.status.metrics", "Held-out metrics by name;"),
    ],
)
def test_kubectl_explains_fields(kube: Kube, field: str, text: str) -> None:
    assert text in kube.kubectl("explain", field)


def samples() -> list[Path]:
    """Files with nothing but objects of recstack."""
    found = []
    for path in sorted((ROOT / "samples").glob("*.yaml")):
        if {one.get("apiVersion") for one in yaml.safe_load_all(path.read_text())} == {API_VERSION}:
            found.append(path)
    return found


def test_there_are_samples() -> None:
    assert {path.name for path in samples()} >= {"quickstart.yaml", "films.yaml", "s3.yaml"}


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
def test_the_samples_are_accepted(kube: Kube, space: str, path: Path) -> None:
    kube.kubectl("-n", space, "apply", "--server-side", "--dry-run=server", "-f", str(path))


def test_valkeys_volume_keeps_its_size(kube: Kube, space: str) -> None:
    def valkey(spec: Thing) -> str:
        return stack({"stores": {"valkey": spec}})

    kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=stack({}))
    message = "stores.valkey.managed.storage is immutable"
    assert message in refusal(kube, space, valkey({"managed": {"storage": "2Gi"}}))
    for spec in ({"managed": {"storage": "1Gi", "memory": "1Gi"}}, {"external": {"host": "cache"}}):
        kube.kubectl("-n", space, "apply", "--server-side", "-f", "-", stdin=valkey(spec))
    kube.kubectl(
        "-n", space, "apply", "--server-side", "-f", "-", stdin=valkey({"managed": {"storage": "2Gi"}})
    )
