"""``spec.data``: where the tables are and which of their columns mean what."""

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Column, Name


class CatalogFile(ApiModel):
    """A Retail Demo Store ``products.yaml`` on a volume."""

    claim_name: Name = Field(description="PersistentVolumeClaim that holds the file.")
    path: str = Field("products.yaml", max_length=512, description="The file on the volume.")


class Synthetic(ApiModel):
    """Data made by recstack's own seeded generator (retail shaped)."""

    users: int = Field(5000, ge=10, le=300_000, description="Number of users.")
    items: int = Field(2465, ge=10, le=1_000_000, description="Number of items in the catalog.")
    interactions: int = Field(200_000, ge=100, le=13_000_000, description="Number of events.")
    days: int = Field(14, ge=2, le=365, description="Days over which the events are spread.")
    seed: int = Field(7, ge=0, description="Seed: the same seed gives the same files.")
    pictures: bool = Field(False, description="Draw a small picture of each item: item_images/<id>.jpg.")
    catalog: CatalogFile | None = Field(
        None, description="Products to use as catalog; left out: invented ones."
    )


class VolumeSource(ApiModel):
    """Parquet files on a volume."""

    claim_name: Name = Field(description="PersistentVolumeClaim that holds the files.")
    path: str = Field("", max_length=512, description="Folder on the volume.")


class S3Location(ApiModel):
    """A prefix in an S3 bucket; any server that speaks the protocol."""

    bucket: str = Field(min_length=3, max_length=63, description="Bucket.")
    prefix: str = Field("", max_length=512, description="Key prefix, without leading slash.")
    endpoint: str | None = Field(None, max_length=512, description="URL of the server; left out: AWS.")
    region: str = Field("us-east-1", max_length=64, description="Region.")
    secret_name: Name | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; left out: its own identity.",
    )


class Source(ApiModel):
    """Exactly one of synthetic, volume, s3."""

    synthetic: Synthetic | None = Field(None, description="Generated data.")
    volume: VolumeSource | None = Field(None, description="Files on a volume.")
    s3: S3Location | None = Field(None, description="Files in S3.")


class Interactions(ApiModel):
    """The log: one row an event."""

    path: str = Field(
        "day_*.parquet", max_length=512, description="Glob; each file is one day, in name order."
    )
    user: Column = Field("user_id", description="Column of the user's id (integer).")
    item: Column = Field("item_id", description="Column of the item's id (integer).")
    timestamp: Column = Field("timestamp", description="Column of the time, seconds since 1970, UTC.")


class Entities(ApiModel):
    """A table with one row a user or item."""

    path: str = Field(max_length=512, description="File.")
    id: Column = Field(description="Column of the id (integer, unique).")
    title: Column | None = Field(None, description="Column with a text shown to people.")


class Tables(ApiModel):
    """The three tables."""

    interactions: Interactions = Field(default_factory=Interactions, description="Log of events.")
    users: Entities = Field(
        default_factory=lambda: Entities(path="users.parquet", id="user_id"), description="Users."
    )
    items: Entities = Field(
        default_factory=lambda: Entities(path="items.parquet", id="item_id", title="title"),
        description="Catalog.",
    )


class Window(ApiModel):
    """Which days train and which evaluate, counted from the first."""

    train_days: int = Field(9, ge=1, le=365, description="Days that train.")
    evaluation_days: int = Field(3, ge=1, le=90, description="Days after those, held out.")


class Data(ApiModel):
    """Where the tables are; which columns."""

    source: Source = Field(
        default_factory=lambda: Source(synthetic=Synthetic()), description="Where the files are."
    )
    tables: Tables = Field(default_factory=Tables, description="Tables and columns.")
    window: Window = Field(default_factory=Window, description="Split in time.")
