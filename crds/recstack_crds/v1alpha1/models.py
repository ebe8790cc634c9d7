"""``spec.models``, ``spec.training`` and ``spec.evaluation``."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from recstack_crds.v1alpha1.base import ApiModel, Column, Duration, Fraction, Name, Quantity


class IndexType(StrEnum):
    """Kinds of index; names as in FAISS."""

    AUTO = "auto"
    FLAT = "Flat"
    IVF = "IVF"
    HNSW = "HNSW"


class Index(ApiModel):
    """How the catalog is searched (FAISS, Douze et al. 2024, arXiv:2401.08281)."""

    type: IndexType = Field(
        IndexType.AUTO,
        description="Flat: exact. IVF: the lists nearest to the query (k-means). HNSW: a graph. auto: Flat "
        "up to 20,000 items, then IVF where a recall of 0.99 needs less than half of the lists.",
    )
    nlist: int | None = Field(
        None, ge=1, le=65536, description="IVF: lists; left out: a power of two up to 4 sqrt(items)."
    )
    nprobe: int | None = Field(
        None, ge=1, le=65536, description="IVF: lists searched; left out: as many as recall 0.99 needs."
    )
    m: int | None = Field(None, ge=4, le=128, description="HNSW: neighbours of an item; left out: 32.")
    ef_construction: int | None = Field(
        None, ge=8, le=2000, description="HNSW: breadth of the search while building; left out: 80."
    )
    ef_search: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="HNSW: breadth of a search, never below the items wanted; left out: what recall 0.99 "
        "needs, 4,096 at most.",
    )


class Retrieval(ApiModel):
    """Two-tower model (Yi et al. 2019, RecSys, doi:10.1145/3298689.3346996)."""

    towers: list[int] = Field(
        default=[128, 64], min_length=1, max_length=6, description="Units of each layer of both towers."
    )
    embedding_dim: int = Field(64, ge=4, le=512, description="Width of categorical embeddings.")
    batch_size: int = Field(
        1024, ge=16, le=65536, description="Rows a step; in-batch negatives: cost grows with its square."
    )
    epochs: int = Field(2, ge=1, le=100, description="Passes over the training days.")
    learning_rate: float = Field(0.001, gt=0, le=1, description="Adam's.")
    index: Index = Field(default_factory=Index, description="Search in the catalog.")


class Ranking(ApiModel):
    """DLRM (Naumov et al. 2019, arXiv:1906.00091)."""

    embedding_dim: int = Field(
        64, ge=4, le=512, description="Width of embeddings; the bottom MLP ends in it."
    )
    bottom: list[int] = Field(
        default=[128, 64], min_length=1, max_length=6, description="Bottom MLP; its last is embeddingDim."
    )
    top: list[int] = Field(default=[128, 64, 32], min_length=1, max_length=6, description="Top MLP.")
    negatives: int = Field(5, ge=1, le=64, description="Sampled negatives for each positive.")
    batch_size: int = Field(
        16384,
        ge=16,
        le=131072,
        description="Most positives a step; fewer where little data would give few steps.",
    )
    epochs: int = Field(3, ge=1, le=100, description="Passes.")
    learning_rate: float = Field(0.005, gt=0, le=1, description="Adam's.")


class Models(ApiModel):
    """The two learned stages."""

    retrieval: Retrieval = Field(default_factory=Retrieval, description="First stage.")
    ranking: Ranking = Field(default_factory=Ranking, description="Third stage.")


class Kind(StrEnum):
    """How a version is trained."""

    FULL = "Full"
    FINE_TUNE = "FineTune"


class ConcurrencyPolicy(StrEnum):
    """What a run does that is due while one is trained."""

    FORBID = "Forbid"
    REPLACE = "Replace"


class Schedule(ApiModel):
    """Times at which a version is trained anew on the data of then."""

    name: Name = Field(description="Name; unique in the stack.")
    cron: str = Field(
        pattern=r"^[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}$",
        max_length=128,
        description="Minute, hour, day of month, month, day of week, as crontab(5) has them.",
    )
    time_zone: str = Field(
        "UTC",
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
        max_length=64,
        description="Name in the IANA time zone database, like Europe/Berlin.",
    )
    kind: Kind = Field(
        Kind.FULL, description="Full: from nothing. FineTune: on from the live version, on newer days."
    )
    concurrency_policy: ConcurrencyPolicy = Field(
        ConcurrencyPolicy.FORBID,
        description="When a version of the stack is still trained: Forbid waits for it, Replace stops it.",
    )
    starting_deadline_seconds: int | None = Field(
        None,
        ge=10,
        le=2_592_000,
        description="How late a run may begin; one that is later is left out. Left out: however late.",
    )


class NewData(ApiModel):
    """A version for days that the live one is not made of."""

    every: Duration = Field("15m", description="How often the data is looked at; m, h or d.")
    kind: Kind = Field(
        Kind.FINE_TUNE,
        description="FineTune: on the new days. Full: the window is moved to end with the newest day.",
    )


class Drift(ApiModel):
    """A version when the newest day differs from what the live one was trained on."""

    every: Duration = Field("1h", description="How often the data is looked at; m, h or d.")
    threshold: float = Field(
        0.2,
        gt=0,
        le=100,
        description="Population stability index (Siddiqi 2006) of a feature from which on it has drifted.",
    )
    kind: Kind = Field(Kind.FULL, description="Full or FineTune, as for newData.")


class Triggers(ApiModel):
    """What besides the clock makes versions, each once for the same newest day."""

    new_data: NewData | None = Field(
        None, description="A day's file that is newer; left out: not looked for."
    )
    drift: Drift | None = Field(None, description="Features of a newer day; left out: not measured.")
    on_stale: Kind | None = Field(
        None, description="Kind of the version that is made when the live one is older than maxStaleness."
    )
    concurrency_policy: ConcurrencyPolicy = Field(
        ConcurrencyPolicy.FORBID,
        description="When a version of the stack is still trained: Forbid waits for it, Replace stops it.",
    )


class Engine(StrEnum):
    """Who runs the steps."""

    JOBS = "Jobs"


class FineTune(ApiModel):
    """How a version of kind FineTune moves its parent's models; no part of what a Full one is."""

    learning_rate: float = Field(0.0001, gt=0, le=1, description="Adam's, of both models.")
    epochs: int = Field(1, ge=1, le=20, description="Passes over the new days and the replayed ones.")
    replay_days: int = Field(
        2,
        ge=0,
        le=365,
        description="Older days that are replayed, chosen by seed, beside those that the parent held out.",
    )
    train_fraction: float = Field(
        0.7, gt=0, lt=1, description="Share of the new days' events, the earlier ones, that train."
    )


class Training(ApiModel):
    """How a version is trained."""

    engine: Engine = Field(Engine.JOBS, description="Jobs: one Kubernetes Job a step.")
    seed: int = Field(42, ge=0, description="Seed of masks, negatives and weights.")
    gpus: int = Field(0, ge=0, le=8, description="nvidia.com/gpu of each training step.")
    cpu: Quantity = Field("1", description="CPU request of each step.")
    memory: Quantity = Field("6Gi", description="Memory limit of each step.")
    retries: int = Field(2, ge=0, le=10, description="Times a failed step is tried again (Job backoffLimit).")
    fine_tune: FineTune = Field(default_factory=FineTune, description="Of versions of kind FineTune.")


class StackTraining(Training):
    """How and when versions are trained; when is no part of the recipe."""

    schedules: list[Schedule] = Field(
        default_factory=list, max_length=16, description="When the same recipe is trained anew."
    )
    triggers: Triggers = Field(default_factory=Triggers, description="What else makes versions.")
    max_staleness: Duration | None = Field(
        None, description="Age of the live version from which it is not Fresh, like 36h; m, h or d."
    )


class RelativeTo(StrEnum):
    """What a relative gate compares with."""

    LIVE = "live"


Metric = Annotated[
    str,
    StringConstraints(
        pattern=r"^((recall|ndcg|coverage|novelty)@(100|[1-9][0-9]?)"
        r"|recall@10/popularity|auc|calibrationError|indexRecall|latencyP50|latencyP99)$",
        max_length=24,
    ),
]
SliceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(all|newUsers|newItems|[A-Za-z_][A-Za-z0-9_]*=[ !#-\[\]-~]+)$", max_length=48
    ),
]
"""Printable ASCII, so that sixteen verdicts fit into a termination message of 4,096 bytes."""


LATENCY = frozenset({"latencyP50", "latencyP99"})


class Gate(ApiModel):
    """A version that misses one is rejected. Absolute: min or max. Relative: by how much it beats another."""

    metric: Metric = Field(
        description="Metric of the held-out days: recall@k, ndcg@k, coverage@k, novelty@k (k to 100), "
        "recall@10/popularity, auc, calibrationError, indexRecall (share of exact search that the index "
        "finds). Or latencyP50, latencyP99: milliseconds of a request in the slowest serving pod, before "
        "anybody is answered."
    )
    slice: SliceName | None = Field(
        None,
        description="Whose: all (the default), newUsers, newItems, or <segment>=<value> of a segment.",
    )
    min: float | None = Field(None, description="Least value that passes.")
    max: float | None = Field(None, description="Greatest value that passes.")
    relative_to: RelativeTo | None = Field(
        None, description="live: compare with the version that answers, on the same held-out requests."
    )
    min_ratio: float | None = Field(
        None, gt=0, description="Relative: the bound of candidate / live must be above it."
    )
    min_difference: float | None = Field(
        None, description="Relative: the bound of candidate - live must be above it."
    )
    confidence: float | None = Field(
        None, ge=0.5, le=0.999, description="Relative: one-sided confidence of the bound; left out: 0.95."
    )

    @property
    def in_pods(self) -> bool:
        """Measured where the version is to serve, not in its evaluation."""
        return self.metric in LATENCY


class Segment(ApiModel):
    """A column of the table of users or of items whose values are slices of the evaluation."""

    name: Column = Field(description="Name before the = of its slices.")
    column: Column = Field(description="Column of one of both tables; need not be a feature.")


class Evaluation(ApiModel):
    """What is measured, and what a version must reach before it may serve."""

    gates: list[Gate] = Field(default_factory=list, max_length=16, description="All must pass.")
    segments: list[Segment] = Field(
        default_factory=list,
        max_length=8,
        description="Slices by value of a column: the sixteen most frequent values, and those of gates.",
    )

    @property
    def held_out_gates(self) -> list[Gate]:
        """Gates that the evaluation decides."""
        return [gate for gate in self.gates if not gate.in_pods]

    @property
    def pod_gates(self) -> list[Gate]:
        """Gates that the serving pods' proof decides."""
        return [gate for gate in self.gates if gate.in_pods]


class SeenFilter(ApiModel):
    """Items a user has seen lately are not recommended again."""

    enabled: bool = Field(True, description="Use it.")
    ttl_seconds: int = Field(518_400, ge=60, description="How long an item counts as seen, seconds.")
    capacity: int = Field(1000, ge=10, le=1_000_000, description="Items a user's filter is made for.")
    error_rate: Fraction = Field(0.01, description="False-positive share at capacity.")
