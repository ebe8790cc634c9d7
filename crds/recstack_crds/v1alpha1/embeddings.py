"""``spec.features.embeddings``: what pictures and texts of items say, as vectors of an encoder."""

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Column, Name
from recstack_crds.v1alpha1.data import S3Location

TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
IMAGE_MODEL = "openai/clip-vit-base-patch32"


class Text(ApiModel):
    """A text of each item: a column of the items' table, or of a file with one row an item."""

    column: Column = Field(description="Column with the text.")
    path: str | None = Field(
        None, max_length=512, description="Parquet file in the data source; left out: the items' table."
    )
    id: Column | None = Field(None, description="With path: that file's column of the item's id (unique).")


class Image(ApiModel):
    """A picture of each item, JPEG, PNG or WebP."""

    path: str = Field(
        pattern=r"^([^/].*)?\{id\}.*$",
        max_length=512,
        description="Path in the data source, {id} in place of the item's id, like item_images/{id}.jpg.",
    )


class EmbeddingSource(ApiModel):
    """Exactly one of text, image."""

    text: Text | None = Field(None, description="From a text.")
    image: Image | None = Field(None, description="From a picture.")


class WeightsVolume(ApiModel):
    """A checkpoint's folder on a volume."""

    claim_name: Name = Field(description="PersistentVolumeClaim that holds it.")
    path: str = Field("", max_length=512, description="Folder on the volume.")


class Hub(ApiModel):
    """The Hugging Face hub, which pods must reach."""

    revision: str = Field("main", max_length=128, description="Branch, tag or commit; a commit never moves.")


class Weights(ApiModel):
    """Exactly one of volume, s3, hub."""

    volume: WeightsVolume | None = Field(None, description="A folder on a volume.")
    s3: S3Location | None = Field(None, description="A prefix in S3.")
    hub: Hub | None = Field(None, description="The hub.")


class Encoder(ApiModel):
    """A pretrained checkpoint as it is published: configuration, model.safetensors or tf_model.h5."""

    model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        max_length=128,
        description=f"Its name on the hub; left out: {TEXT_MODEL} for texts, {IMAGE_MODEL} for pictures.",
    )
    weights: Weights = Field(
        default_factory=lambda: Weights(hub=Hub()), description="Where its files are; left out: the hub."
    )


class Embedding(ApiModel):
    """One vector of each item: an input of the item tower and of the ranker."""

    name: Column = Field(description="Name of the model input; unique in the stack.")
    source: EmbeddingSource = Field(alias="from", description="What is encoded.")
    encoder: Encoder = Field(default_factory=Encoder, description="What encodes.")
    dim: int = Field(64, ge=2, le=1024, description="Width after PCA; at most the encoder's.")

    @property
    def model(self) -> str:
        """The encoder's name, its default resolved."""
        return self.encoder.model or (TEXT_MODEL if self.source.text else IMAGE_MODEL)
