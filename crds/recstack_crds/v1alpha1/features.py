"""``spec.features``: the declared columns and their operators.

The operators are those of NVTabular; all but LambdaOp are compiled for serving. A feature is a chain of them
over one source column. Nothing of retail is known outside of the defaults.
"""

from enum import StrEnum

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Column, Fraction
from recstack_crds.v1alpha1.embeddings import Embedding


class Op(StrEnum):
    """Operators; names as in NVTabular where it has them.

    HashBucket is not NVTabular's own: on a CPU that one mixes the row's number into the hash, so that a value
    has no bucket of its own.
    """

    CATEGORIFY = "Categorify"
    NORMALIZE = "Normalize"
    LOG = "LogOp"
    BUCKETIZE = "Bucketize"
    CLIP = "Clip"
    NORMALIZE_MIN_MAX = "NormalizeMinMax"
    FILL_MISSING = "FillMissing"
    HASH_BUCKET = "HashBucket"
    LAMBDA = "LambdaOp"
    HOUR_SIN = "HourSin"
    HOUR_COS = "HourCos"
    WEEKDAY_SIN = "WeekdaySin"
    WEEKDAY_COS = "WeekdayCos"


class Operator(ApiModel):
    """One step of a feature's chain."""

    op: Op = Field(description="Operator.")
    boundaries: list[float] | None = Field(
        None, max_length=64, description="Bucketize only: rising upper bounds."
    )
    min: float | None = Field(None, description="Clip only: what is less becomes this.")
    max: float | None = Field(None, description="Clip only: what is more becomes this.")
    value: float | None = Field(
        None, description="FillMissing only: stands for a null, and for an unknown user or an absent context."
    )
    num_buckets: int | None = Field(
        None, ge=2, le=10_000_000, description="HashBucket only: number of codes that values are spread over."
    )
    function: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description="LambdaOp only: module:function of the training image, from a series of numbers to one "
        "of as many, each of its own value alone. Not compiled: NVTabular runs it beside the model.",
    )


class Feature(ApiModel):
    """One input of the models: a source column sent through operators.

    Chains that end in Categorify or Bucketize+Categorify give an integer code (0 pad, 1 null,
    2 out of vocabulary, 3… vocabulary), so does HashBucket, alone (3… buckets); all others a float32.
    Nulls of numbers become the training mean, unless FillMissing, first in its chain, says otherwise.
    """

    name: Column = Field(description="Name of the model input; unique in the stack.")
    column: Column = Field(description="Column of the table it is made from.")
    ops: list[Operator] = Field(min_length=1, max_length=4, description="Operators, in order.")
    most_frequent: Column | None = Field(
        None,
        description="User features only: the column is derived, the most frequent value of this item column "
        "among the user's events of the training window.",
    )


class ColdStart(ApiModel):
    """Shares of training rows whose values are masked to -1, so that the unknown is learned."""

    user: Fraction = Field(0.05, description="Share of rows with all categorical user columns masked.")
    context: Fraction = Field(0.05, description="Share of rows with all categorical context columns masked.")


def _cat(name: str, column: str | None = None, most_frequent: str | None = None) -> Feature:
    return Feature(
        name=name, column=column or name, ops=[Operator(op=Op.CATEGORIFY)], most_frequent=most_frequent
    )


def _default_user() -> list[Feature]:
    return [
        _cat("user_id"),
        _cat("gender"),
        _cat("top_category", most_frequent="category_l1"),
        Feature(name="age_norm", column="age", ops=[Operator(op=Op.NORMALIZE)]),
        Feature(
            name="age_binned",
            column="age",
            ops=[
                Operator(op=Op.BUCKETIZE, boundaries=[18, 25, 35, 50, 65]),
                Operator(op=Op.CATEGORIFY),
            ],
        ),
    ]


def _default_item() -> list[Feature]:
    return [
        _cat("item_id"),
        _cat("category_l1"),
        _cat("category_l2"),
        _cat("item_gender"),
        Feature(
            name="price_log_norm",
            column="price",
            ops=[Operator(op=Op.LOG), Operator(op=Op.NORMALIZE)],
        ),
    ]


def _default_context() -> list[Feature]:
    return [
        _cat("device_type"),
        *(
            Feature(name=name, column="timestamp", ops=[Operator(op=op)])
            for name, op in (
                ("hour_sin", Op.HOUR_SIN),
                ("hour_cos", Op.HOUR_COS),
                ("weekday_sin", Op.WEEKDAY_SIN),
                ("weekday_cos", Op.WEEKDAY_COS),
            )
        ),
    ]


class Features(ApiModel):
    """User, item and request-context features. The defaults are the retail reference's."""

    user: list[Feature] = Field(
        default_factory=_default_user, min_length=1, max_length=64, description="Of the user."
    )
    item: list[Feature] = Field(
        default_factory=_default_item, min_length=1, max_length=64, description="Of the item."
    )
    context: list[Feature] = Field(
        default_factory=_default_context, max_length=64, description="Of the request; columns of the log."
    )
    embeddings: list[Embedding] = Field(
        default_factory=list, max_length=8, description="Of the item: its pictures and texts; left out: none."
    )
    cold_start: ColdStart = Field(default_factory=ColdStart, description="Masking in training.")
