"""What OpenAPI cannot say: CEL rules and list keys, by model.

A rule sees only what the author wrote: defaults are not in the schema (they would show as drift in a
GitOps tool), so each rule falls back to the model's own default where a field is absent.
"""

from collections.abc import Mapping
from typing import Any

from recstack_crds.v1alpha1.base import ApiModel
from recstack_crds.v1alpha1.data import Source
from recstack_crds.v1alpha1.embeddings import EmbeddingSource, Image, Text, Weights
from recstack_crds.v1alpha1.events import Events
from recstack_crds.v1alpha1.features import Features, Operator
from recstack_crds.v1alpha1.models import Evaluation, Gate, Index, Ranking, StackTraining
from recstack_crds.v1alpha1.modelversion import Days, ModelVersionSpec, ModelVersionStatus
from recstack_crds.v1alpha1.platform import (
    Artifacts,
    Autoscaling,
    ManagedValkey,
    Offline,
    Serving,
    Stores,
    Valkey,
)
from recstack_crds.v1alpha1.recommenderstack import RecommenderStackSpec, RecommenderStackStatus
from recstack_crds.v1alpha1.rollout import Canary, Rollout, Strategy

Rule = Mapping[str, str]

MAX_STACK_NAME = 36  # leaves room for "-<hash8>-train-retrieval" within the 63 characters of a label
MAX_VERSION_NAME = 47


def _rule(rule: str, message: str) -> Rule:
    return {"rule": rule, "message": message}


def _or_default(model: type[ApiModel], field: str) -> str:
    """CEL for ``self.<field>``, or the model's default when the author left it out."""
    info = model.model_fields[field]
    alias = info.alias or field
    default: Any = info.get_default(call_default_factory=True, validated_data={})
    return f"(has(self.{alias}) ? self.{alias} : {default})"


def _last(model: type[ApiModel], field: str) -> str:
    info = model.model_fields[field]
    default: Any = info.get_default(call_default_factory=True, validated_data={})
    return f"(has(self.{field}) ? self.{field}[size(self.{field}) - 1] : {default[-1]})"


def _count(*fields: str) -> str:
    return f"[{', '.join(f'has(self.{name})' for name in fields)}].filter(x, x).size()"


def _disjoint(one: str, other: str) -> Rule:
    return _rule(
        f"!has(self.{one}) || !has(self.{other}) || "
        f"self.{one}.all(a, !self.{other}.exists(b, b.name == a.name))",
        f"a feature's name must be unique in the stack: {one} and {other} share one",
    )


def _artifacts(of: str) -> str:
    return f"(has({of}.stores) && has({of}.stores.artifacts) ? [{of}.stores.artifacts] : [])"


def _valkey(of: str, *path: str) -> str:
    """CEL: whether ``stores.valkey`` has the field at ``path``."""
    names = ["stores", "valkey", *path]
    return " && ".join(f"has({'.'.join([of, *names[: depth + 1]])})" for depth in range(len(names)))


def _valkey_storage(of: str) -> str:
    default = ManagedValkey().storage
    return f"({_valkey(of, 'managed', 'storage')} ? {of}.stores.valkey.managed.storage : '{default}')"


def _name(kind: str, most: int) -> Rule:
    return _rule(
        f"size(self.metadata.name) <= {most} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"the name of a {kind} must be a DNS label that begins with a letter, at most {most} characters",
    )


_S3_WEIGHTS = "has({0}.encoder) && has({0}.encoder.weights) && has({0}.encoder.weights.s3)"
_SAME_SERVER = " && ".join(
    f"(has(a.encoder.weights.s3.{field}) == has(b.encoder.weights.s3.{field}) && "
    f"(!has(a.encoder.weights.s3.{field}) || "
    f"a.encoder.weights.s3.{field} == b.encoder.weights.s3.{field}))"
    for field in ("endpoint", "region", "secretName")
)
_CAP = "self.serving.diversity.maxPerValue"
_TRENDING = "self.serving.trending"
_ITEM_FEATURES = [feature.name for feature in Features().item]
RULES: Mapping[type[ApiModel], tuple[Rule, ...]] = {
    Source: (
        _rule(
            f"{_count('synthetic', 'volume', 's3')} == 1",
            "set exactly one of synthetic, volume and s3",
        ),
    ),
    EmbeddingSource: (_rule(f"{_count('text', 'image')} == 1", "set exactly one of text and image"),),
    Text: (_rule("has(self.path) == has(self.id)", "path and id go together"),),
    Image: (_rule("!self.path.contains('..')", "path must stay within the data source: no .. in it"),),
    Weights: (
        _rule(
            f"{_count('volume', 's3', 'hub')} == 1",
            "set exactly one of volume, s3 and hub",
        ),
    ),
    Valkey: (_rule("!(has(self.managed) && has(self.external))", "set at most one of managed and external"),),
    Artifacts: (_rule("!(has(self.volume) && has(self.s3))", "set at most one of volume and s3"),),
    Offline: (_rule("!(has(self.files) && has(self.athena))", "set at most one of files and athena"),),
    Stores: (
        _rule(
            "!has(self.feast) || !has(self.feast.offline) || !has(self.feast.offline.athena) || "
            "(has(self.artifacts) && has(self.artifacts.s3) && !has(self.artifacts.s3.endpoint))",
            "feast.offline.athena reads the artifacts' files: set artifacts.s3, without endpoint",
        ),
    ),
    Operator: (
        _rule(
            "self.op != 'Bucketize' || (has(self.boundaries) && size(self.boundaries) > 0)",
            "Bucketize needs boundaries",
        ),
        _rule(
            "self.op == 'Bucketize' || !has(self.boundaries)",
            "only Bucketize takes boundaries",
        ),
        _rule(
            "!has(self.boundaries) || self.boundaries.isSorted()",
            "boundaries must rise",
        ),
        _rule(
            "(self.op == 'LambdaOp') == has(self.function)",
            "LambdaOp, and only it, needs function, module:function of the training image",
        ),
        _rule(
            f"(self.op == 'Clip') == ({_count('min', 'max')} > 0)",
            "Clip needs min, max or both, and no other operator takes them",
        ),
        _rule("!has(self.min) || !has(self.max) || self.min < self.max", "min must be less than max"),
        _rule(
            "(self.op == 'FillMissing') == has(self.value)",
            "FillMissing needs value, and no other operator takes it",
        ),
        _rule(
            "(self.op == 'HashBucket') == has(self.numBuckets)",
            "HashBucket needs numBuckets, and no other operator takes it",
        ),
    ),
    Features: (
        _disjoint("user", "item"),
        _disjoint("user", "context"),
        _disjoint("item", "context"),
        *(_disjoint(side, "embeddings") for side in ("user", "item", "context")),
        _rule(
            f"!has(self.embeddings) || self.embeddings.all(a, !({_S3_WEIGHTS.format('a')}) || "
            f"self.embeddings.all(b, !({_S3_WEIGHTS.format('b')}) || ({_SAME_SERVER})))",
            "embeddings whose weights are in S3 must share endpoint, region and secretName: "
            "one pod reads them all",
        ),
        _rule(
            "!has(self.item) || self.item.all(f, !has(f.mostFrequent))",
            "mostFrequent is for user features only",
        ),
        _rule(
            "!has(self.context) || self.context.all(f, !has(f.mostFrequent))",
            "mostFrequent is for user features only",
        ),
    ),
    Index: (
        _rule(
            f"{_count('nlist', 'nprobe')} == 0 || (has(self.type) && self.type == 'IVF')",
            "nlist and nprobe need type: IVF",
        ),
        _rule(
            f"{_count('m', 'efConstruction', 'efSearch')} == 0 || (has(self.type) && self.type == 'HNSW')",
            "m, efConstruction and efSearch need type: HNSW",
        ),
        _rule(
            "!has(self.nlist) || !has(self.nprobe) || self.nprobe <= self.nlist",
            "nprobe must not be more than nlist",
        ),
    ),
    Ranking: (
        _rule(
            f"{_last(Ranking, 'bottom')} == {_or_default(Ranking, 'embedding_dim')}",
            "the last of bottom must equal embeddingDim "
            f"(defaults: bottom {Ranking().bottom}, embeddingDim {Ranking().embedding_dim})",
        ),
    ),
    Gate: (
        _rule(
            f"has(self.relativeTo) || {_count('min', 'max')} == 1",
            "set exactly one of min and max, or relativeTo",
        ),
        _rule(
            f"!has(self.relativeTo) || ({_count('minRatio', 'minDifference')} == 1 && "
            "!has(self.min) && !has(self.max))",
            "relativeTo goes with exactly one of minRatio and minDifference, without min and max",
        ),
        _rule(
            f"has(self.relativeTo) || {_count('minRatio', 'minDifference', 'confidence')} == 0",
            "minRatio, minDifference and confidence need relativeTo",
        ),
        _rule(
            "!has(self.relativeTo) || self.metric == 'auc' || "
            "self.metric.matches('^(recall|ndcg|novelty)@[0-9]+$')",
            "relativeTo goes with recall@k, ndcg@k, novelty@k and auc only: coverage and calibrationError "
            "are no means over requests, popularity is the same for both, and an index is measured by itself",
        ),
        _rule(
            "!self.metric.startsWith('latency') || "
            "(has(self.max) && (!has(self.slice) || self.slice == 'all'))",
            "latencyP50 and latencyP99 go with max, without slice",
        ),
        _rule(
            "!has(self.slice) || self.slice == 'all' || "
            "!(self.metric in ['recall@10/popularity', 'indexRecall'])",
            "recall@10/popularity and indexRecall are measured over all requests: leave slice out",
        ),
    ),
    Evaluation: (
        _rule(
            "!has(self.gates) || self.gates.all(g, !has(g.slice) || !g.slice.contains('=') || "
            "(has(self.segments) && self.segments.exists(s, g.slice.startsWith(s.name + '='))))",
            "a gate's slice names a segment that is not declared in segments",
        ),
    ),
    Serving: (
        _rule(
            f"{_or_default(Serving, 'top_k')} <= {_or_default(Serving, 'candidates')}",
            "topK must not be more than candidates "
            f"(defaults: topK {Serving().top_k}, candidates {Serving().candidates})",
        ),
        _rule(
            "!has(self.trending) || [has(self.trending.candidates) ? self.trending.candidates : 0, "
            "has(self.trending.coldCandidates) ? self.trending.coldCandidates : 0]"
            f".all(n, n <= {_or_default(Serving, 'candidates')})",
            "trending.candidates and trending.coldCandidates must not be more than candidates "
            f"(default: {Serving().candidates})",
        ),
        _rule(
            f"!has(self.gpuRuntime) || {_or_default(Serving, 'gpus')} > 0",
            "gpuRuntime needs gpus: with 0 the networks run on the CPU",
        ),
    ),
    Autoscaling: (
        _rule(
            f"{_or_default(Autoscaling, 'min_replicas')} <= {_or_default(Autoscaling, 'max_replicas')}",
            "minReplicas must not be more than maxReplicas "
            f"(defaults: {Autoscaling().min_replicas} and {Autoscaling().max_replicas})",
        ),
    ),
    Canary: (
        _rule(
            "!has(self.steps) || self.steps.map(s, s.weight).isSorted() && "
            "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight))",
            "the weights of steps must rise",
        ),
    ),
    Strategy: (
        _rule(
            "!has(self.canary) || (has(self.type) && self.type == 'Canary')",
            "canary goes with type: Canary",
        ),
        _rule(
            "!has(self.shadow) || (has(self.type) && self.type == 'Shadow')",
            "shadow goes with type: Shadow",
        ),
    ),
    Rollout: (
        _rule(
            "!has(self.memoryFallback) || self.memoryFallback == 'Refuse' || !has(self.strategy) || "
            "!has(self.strategy.type) || self.strategy.type == 'Immediate'",
            "memoryFallback: Recreate and Surge go with strategy.type: Immediate: Canary and Shadow need "
            "both versions in memory",
        ),
        _rule(
            "!has(self.soak) || !has(self.soak.clickThrough) || (has(self.strategy) && "
            "has(self.strategy.type) && self.strategy.type == 'Canary')",
            "soak.clickThrough needs strategy.type: Canary: clicks are compared between people who see "
            "one version or the other at the same time",
        ),
    ),
    RecommenderStackSpec: (
        _rule(
            f"!has(self.serving) || !has(self.serving.diversity) || !has({_CAP}) || "
            "(has(self.features) && has(self.features.item) "
            f"? self.features.item.exists(f, f.name == {_CAP}.feature) "
            f": {_CAP}.feature in {_ITEM_FEATURES})",
            "serving.diversity.maxPerValue.feature must be the name of an item feature (features.item)",
        ),
        _rule(
            f"!has(self.serving) || !has({_TRENDING}) || !has({_TRENDING}.by) || {_TRENDING}.by.all(name, "
            "has(self.features) && has(self.features.item) "
            f"? self.features.item.exists(f, f.name == name) : name in {_ITEM_FEATURES})",
            "serving.trending.by must name item features (features.item)",
        ),
        _rule(
            f"{_artifacts('self')} == {_artifacts('oldSelf')}",
            "stores.artifacts is immutable: packages are not moved; make a new stack",
        ),
        _rule(
            f"({_valkey('self', 'external')}) || ({_valkey('oldSelf', 'external')}) || "
            f"{_valkey_storage('self')} == {_valkey_storage('oldSelf')}",
            "stores.valkey.managed.storage is immutable: a StatefulSet's volumes keep their size; "
            "make a new stack, or go by way of an external Valkey",
        ),
    ),
    StackTraining: (
        _rule(
            "!has(self.triggers) || !has(self.triggers.onStale) || has(self.maxStaleness)",
            "triggers.onStale needs maxStaleness, the age that it waits for",
        ),
    ),
    Days: (_rule("self.first <= self.last", "first must not be after last"),),
    ModelVersionSpec: (
        _rule(
            "(has(self.kind) && self.kind == 'FineTune') == has(self.parent)",
            "kind FineTune needs parent, a ModelVersion or a package; kind Full must not have one",
        ),
        _rule("self == oldSelf", "the spec of a ModelVersion is immutable: make a new ModelVersion"),
    ),
}

ROOT_RULES: Mapping[str, tuple[Rule, ...]] = {
    "RecommenderStack": (_name("RecommenderStack", MAX_STACK_NAME),),
    "ModelVersion": (
        _name("ModelVersion", MAX_VERSION_NAME),
        _rule(
            "!has(self.spec) || !has(self.spec.parent) || self.spec.parent != self.metadata.name",
            "spec.parent is the version itself: name the one that it goes on from",
        ),
    ),
}

# Lists whose items have a key: server-side apply merges them, and the API server refuses doubles.
LIST_KEYS: Mapping[tuple[type[ApiModel], str], tuple[str, ...]] = {
    (RecommenderStackStatus, "conditions"): ("type",),
    (RecommenderStackStatus, "schedules"): ("name",),
    (StackTraining, "schedules"): ("name",),
    (ModelVersionStatus, "conditions"): ("type",),
    (ModelVersionStatus, "steps"): ("name",),
    (Features, "user"): ("name",),
    (Features, "item"): ("name",),
    (Features, "context"): ("name",),
    (Features, "embeddings"): ("name",),
    (Evaluation, "segments"): ("name",),
    (Events, "types"): ("name",),
}
