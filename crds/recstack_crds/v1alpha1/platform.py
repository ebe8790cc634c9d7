"""``spec.stores``, ``spec.serving`` and the rest of the platform."""

from enum import StrEnum

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Column, Duration, Fraction, Name, Quantity
from recstack_crds.v1alpha1.data import S3Location
from recstack_crds.v1alpha1.models import SeenFilter


class ManagedValkey(ApiModel):
    """A Valkey that the operator makes."""

    memory: Quantity = Field("256Mi", description="Memory limit.")
    storage: Quantity = Field("1Gi", description="Size of its volume.")


class ExternalValkey(ApiModel):
    """A Valkey (or Redis) that is there already."""

    host: str = Field(max_length=253, description="Host name.")
    port: int = Field(6379, ge=1, le=65535, description="Port.")
    tls: bool = Field(False, description="Use TLS.")
    secret_name: Name | None = Field(None, description="Secret with keys username and password.")


class Valkey(ApiModel):
    """At most one of managed, external; none means managed with its defaults."""

    managed: ManagedValkey | None = Field(None, description="Made by the operator.")
    external: ExternalValkey | None = Field(None, description="Yours.")


class ArtifactVolume(ApiModel):
    """Artifacts on a ReadWriteMany volume."""

    claim_name: Name | None = Field(None, description="Existing claim; left out: one is made.")
    size: Quantity = Field("5Gi", description="Size of the claim that is made.")
    storage_class_name: Name | None = Field(None, description="Its class; left out: the cluster's default.")


class Artifacts(ApiModel):
    """At most one of volume, s3; none means a volume with its defaults."""

    volume: ArtifactVolume | None = Field(None, description="On a volume.")
    s3: S3Location | None = Field(None, description="In S3.")


class Athena(ApiModel):
    """Amazon Athena over the offline files, which must be in S3 (stores.artifacts.s3)."""

    database: str = Field(
        pattern=r"^[a-z0-9_]+$", max_length=255, description="Database of the Glue catalog; it must exist."
    )
    workgroup: str = Field("primary", max_length=128, description="Workgroup.")
    data_source: str = Field("AwsDataCatalog", max_length=256, description="Data source.")
    region: str = Field(max_length=64, description="Region.")
    s3_staging_location: str = Field(
        pattern=r"^s3://[^/]+(/.*)?$",
        max_length=1024,
        description="Where query results go, s3://bucket/prefix.",
    )


class OfflineFiles(ApiModel):
    """The Parquet files themselves, below the artifacts."""


class Offline(ApiModel):
    """At most one of files, athena; none means files."""

    files: OfflineFiles | None = Field(None, description="Read as files.")
    athena: Athena | None = Field(None, description="Read through Athena.")


class MaterializationSchedule(ApiModel):
    """When increments of the offline store go to the online store."""

    cron: str = Field(
        "0 * * * *",
        pattern=r"^[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}$",
        max_length=128,
        description="Minute, hour, day of month, month, day of week, as a Kubernetes CronJob takes them.",
    )
    time_zone: str = Field(
        "UTC",
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
        max_length=64,
        description="Name in the IANA time zone database, like Europe/Berlin.",
    )


class Feast(ApiModel):
    """Feast: user and item features kept offline and served from Valkey."""

    ttl: Duration = Field(
        "90d", description="How long a row counts; an older one is as if it were not there."
    )
    offline: Offline = Field(default_factory=Offline, description="Offline store.")
    schedule: MaterializationSchedule = Field(
        default_factory=MaterializationSchedule, description="When increments are materialized."
    )
    cpu: Quantity = Field("100m", description="CPU request of its Jobs.")
    memory: Quantity = Field("1Gi", description="Memory limit of its Jobs.")


class Stores(ApiModel):
    """Where state lives."""

    valkey: Valkey = Field(default_factory=Valkey, description="Seen filter and online features.")
    artifacts: Artifacts = Field(default_factory=Artifacts, description="Packages, and the offline features.")
    feast: Feast | None = Field(None, description="Feature store; left out: features come with the package.")


class Graph(StrEnum):
    """How the stages are laid out in Triton."""

    FUSED = "fused"
    ENSEMBLE = "ensemble"


class MaxPerValue(ApiModel):
    """A cap on items that are alike in one feature; a reply may hold fewer than asked for because of it."""

    feature: Column = Field(description="Name of an item feature (features.item).")
    max: int = Field(3, ge=1, le=1000, description="Most items of one value in a reply; unknown is a value.")


class Batching(ApiModel):
    """Triton's dynamic batcher, in the fused graph: requests that wait are answered in one run."""

    max_requests: int = Field(16, ge=1, le=128, description="Most requests of a run; 1: each by itself.")
    max_queue_delay_microseconds: int = Field(
        0, ge=0, le=100_000, description="How long a run waits for more; 0: it takes those that wait already."
    )


class Queue(ApiModel):
    """Bounds of the wait for Triton; beyond them a request gets 503."""

    max_requests: int = Field(256, ge=1, le=100_000, description="Most requests that wait in a pod.")
    timeout_milliseconds: int = Field(1000, ge=1, le=60_000, description="Longest wait of a request.")


class Tracing(ApiModel):
    """OpenTelemetry traces of requests, by stage."""

    endpoint: str = Field(
        max_length=512,
        pattern=r"^https?://.+",
        description="OTLP over HTTP, like http://collector.observability:4318.",
    )
    sample_ratio: Fraction = Field(
        0.01,
        description="Share of the requests whose caller began no trace; a caller's choice goes first.",
    )


class GpuRuntime(StrEnum):
    """Execution provider of ONNX Runtime on a GPU."""

    CUDA = "CUDA"
    TENSORRT = "TensorRT"


class Diversity(ApiModel):
    """Ordering by score-weighted sampling without replacement (Efraimidis & Spirakis 2006), and caps."""

    enabled: bool = Field(False, description="Sample instead of sorting.")
    temperature: float = Field(0.05, gt=0, le=10, description="Smaller follows the scores more closely.")
    max_per_value: MaxPerValue | None = Field(
        None, description="Cap on one value of an item feature, sampled or sorted."
    )


class Trending(ApiModel):
    """What many people look at now, counted from events."""

    by: list[Column] | None = Field(
        None,
        max_length=8,
        description="Item features (features.item, of one Categorify) by whose values it is counted, too. "
        "Left out: those of the columns that user features have as mostFrequent.",
    )
    candidates: int = Field(
        0, ge=0, le=10_000, description="How many of a known user's candidates are trending items; 0: none."
    )
    cold_candidates: int = Field(
        0,
        ge=0,
        le=10_000,
        description="The same for somebody anonymous or unknown, of whom retrieval knows nothing.",
    )


class Serving(ApiModel):
    """The pods that answer."""

    replicas: int = Field(1, ge=0, le=100, description="Pods, unless autoscaling owns the number.")
    graph: Graph = Field(
        Graph.FUSED, description="fused: all stages in one Triton model; ensemble: a model for each."
    )
    candidates: int = Field(300, ge=1, le=10_000, description="Items that retrieval hands to ranking.")
    top_k: int = Field(100, ge=1, le=1000, description="Most items a reply can hold.")
    gpus: int = Field(0, ge=0, le=8, description="nvidia.com/gpu of each pod; 0: ONNX Runtime on CPU.")
    gpu_runtime: GpuRuntime | None = Field(
        None,
        description="With gpus: CUDA (the default), or TensorRT, which builds its engines when a version "
        "loads; an operator that it has not runs on CUDA.",
    )
    instances: int = Field(
        1,
        ge=1,
        le=16,
        description="Model processes of a version in a pod, in the fused graph, or on each GPU of it; each "
        "holds the package once.",
    )
    batching: Batching = Field(default_factory=Batching, description="Requests answered in one run.")
    queue: Queue = Field(default_factory=Queue, description="Bounds of the wait.")
    tracing: Tracing | None = Field(None, description="Left out: no traces.")
    cpu: Quantity = Field("500m", description="CPU request of a pod's Triton.")
    memory: Quantity = Field("2Gi", description="Memory limit of a pod's Triton.")
    diversity: Diversity = Field(default_factory=Diversity, description="Ordering.")
    seen_filter: SeenFilter = Field(default_factory=SeenFilter, description="Filtering.")
    trending: Trending = Field(default_factory=Trending, description="Trending items.")


class Autoscaling(ApiModel):
    """HorizontalPodAutoscaler on the queue time of the entry model."""

    min_replicas: int = Field(1, ge=1, le=100, description="Fewest pods.")
    max_replicas: int = Field(4, ge=1, le=100, description="Most pods.")
    queue_milliseconds: int = Field(20, ge=1, le=10_000, description="Target mean wait of a request, ms.")


class DeletionPolicy(StrEnum):
    """What happens to data when the stack is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"
