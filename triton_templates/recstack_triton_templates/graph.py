"""The ensemble as data: its stages, in order, and the tensors between them.

No shape depends on a stack's schema, so that every stack has the same interface. N: requests of a call. C:
candidates of a request, as many as the one with the most has, others are padded with row -1. K: items of a
reply, padded in the same way. A matrix of features has a column for each feature of its side, in the order
of the package's manifest; FP64 holds both kinds, codes (int64 below 2^53) and numbers (float32), exactly.
What has the type that somebody's table or caller gave it, raw columns, is JSON in UINT8.
"""

from dataclasses import dataclass

REQUEST, REPLY = "REQUEST", "REPLY"
TIMES = "TIMES"
"""Of the fused graph: FP32 [1, stages of FUSED], milliseconds of the run that answered."""


@dataclass(frozen=True)
class Tensor:
    """Type and shape as Triton's configuration has them; -1: any size. ``what`` documents it."""

    type: str
    dims: tuple[int, ...]
    what: str


@dataclass(frozen=True)
class Stage:
    """Names of the tensors that a stage takes and gives."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


TENSORS = {
    REQUEST: Tensor("UINT8", (1, -1), "requests, a line of JSON each"),
    "PROBLEMS": Tensor("UINT8", (-1,), "JSON: for each request what is wrong with it, or null"),
    "USER_ID": Tensor("INT64", (-1,), "[N] raw id; 0 for somebody anonymous"),
    "PERSON": Tensor("BOOL", (-1,), "[N] not anonymous"),
    "PLAIN": Tensor("BOOL", (-1,), "[N] neither seen filter nor diversity"),
    "COUNT": Tensor("INT64", (-1,), "[N] candidates wanted"),
    "TOP": Tensor("INT64", (-1,), "[N] items wanted in the reply"),
    "SEED": Tensor("INT64", (-1,), "[N] of the sampled order; drawn here when the request has none"),
    "CONTEXT": Tensor("UINT8", (-1,), "JSON: for each request its raw context columns"),
    "FETCH": Tensor("INT64", (-1,), "[N] rows to retrieve"),
    "USER": Tensor("UINT8", (-1,), "JSON: for each request its user's raw columns, none when not known"),
    "USER_FEATURES": Tensor("FP64", (-1, -1), "[N, user features] encoded"),
    "CONTEXT_FEATURES": Tensor("FP64", (-1, -1), "[N, context features] encoded"),
    "QUERY": Tensor("FP32", (-1, -1), "[N, dim] of length 1"),
    "ROWS": Tensor("INT64", (-1, -1), "[N, most of FETCH] rows of the catalog, best first"),
    "EXPLAIN": Tensor("BOOL", (-1,), "[N] says how it came about"),
    "CANDIDATES": Tensor("INT64", (-1, -1), "[N, C] rows that were not seen, best first, then trending ones"),
    "SOURCES": Tensor("UINT8", (-1, -1), "[N, C] sources: 1 retrieval, 2 trending, 3 both"),
    "COUNTS": Tensor("INT64", (-1, -1), "[N, 2] rows retrieved, and seen among them"),
    "USER_DEGRADED": Tensor("BOOL", (-1,), "[N] the user could not be read online"),
    "DEGRADED": Tensor("BOOL", (-1,), "[N] what was seen could not be read"),
    "ITEMS": Tensor("FP64", (-1, -1), "[N * C, item features]; of row 0 where padded"),
    "ITEM_FEATURES": Tensor("FP64", (-1, -1), "[N * C, item features] encoded"),
    "ITEM_INPUTS": Tensor(
        "FP64", (-1, -1), "[N * C, item features], embeddings beside them, each as wide as it is"
    ),
    "FEATURES": Tensor("FP64", (-1, -1), "[N * C, user, context and item features, embeddings]"),
    "SCORES": Tensor("FP32", (-1,), "[N * C]"),
    "ORDER": Tensor("INT64", (-1, -1), "[N, K] rows of the reply, in order"),
    "ORDER_SCORES": Tensor("FP32", (-1, -1), "[N, K]"),
    "POSITIONS": Tensor("INT64", (-1, -1), "[N, K] places of the reply's rows among the candidates"),
    REPLY: Tensor("UINT8", (1, -1), "replies, a line of JSON each, in the order of the requests"),
}

_STAGES = {
    "context_preprocessor": Stage(
        (REQUEST,),
        ("PROBLEMS", "USER_ID", "PERSON", "PLAIN", "COUNT", "TOP", "SEED", "FETCH", "EXPLAIN", "CONTEXT"),
    ),
    "feast_user_lookup": Stage(("USER_ID", "PERSON", "PLAIN"), ("USER", "USER_DEGRADED")),
    "nvt_user_transform": Stage(("USER",), ("USER_FEATURES",)),
    "nvt_context_transform": Stage(("CONTEXT",), ("CONTEXT_FEATURES",)),
    "query_tower": Stage(("USER_FEATURES",), ("QUERY",)),
    "faiss_retrieval": Stage(("QUERY", "FETCH"), ("ROWS",)),
    "filter_seen_items": Stage(
        ("ROWS", "FETCH", "QUERY", "USER_ID", "PERSON", "PLAIN", "COUNT", "USER"),
        ("CANDIDATES", "SOURCES", "COUNTS", "DEGRADED"),
    ),
    "feast_item_lookup": Stage(("CANDIDATES", "PLAIN"), ("ITEMS",)),
    "nvt_item_transform": Stage(("ITEMS",), ("ITEM_FEATURES",)),
    "multimodal_embedding_lookup": Stage(("ITEM_FEATURES", "CANDIDATES"), ("ITEM_INPUTS",)),
    "unroll_features": Stage(("USER_FEATURES", "CONTEXT_FEATURES", "ITEM_INPUTS"), ("FEATURES",)),
    "dlrm_ranking": Stage(("FEATURES",), ("SCORES",)),
    "softmax_sampling": Stage(
        ("SCORES", "CANDIDATES", "TOP", "PLAIN", "SEED"), ("ORDER", "ORDER_SCORES", "POSITIONS")
    ),
    "item_id_decoder": Stage(
        (
            *("ORDER", "ORDER_SCORES", "POSITIONS", "SOURCES", "COUNTS", "EXPLAIN"),
            *("USER_DEGRADED", "DEGRADED", "PROBLEMS"),
        ),
        (REPLY,),
    ),
}

LAST = "item_id_decoder"


def time_name(stage: str) -> str:
    """Tensor in which a stage tells the last one how long it took."""
    return f"MS_{stage}"


TIMED = tuple(stage for stage in _STAGES if stage != LAST)
TENSORS |= {time_name(stage): Tensor("FP32", (1,), f"milliseconds of {stage}") for stage in TIMED}
STAGES = {
    stage: Stage((*one.inputs, *map(time_name, TIMED)), one.outputs)
    if stage == LAST
    else Stage(one.inputs, (*one.outputs, time_name(stage)))
    for stage, one in _STAGES.items()
}


FUSED = (
    "context_preprocessor",
    "feast_user_lookup",
    "nvt_user_transform",
    "nvt_context_transform",
    "query_tower",
    "faiss_retrieval",
    "filter_seen_items",
    "feast_item_lookup",
    "multimodal_embedding_lookup",
    "unroll_features",
    "dlrm_ranking",
    "softmax_sampling",
    "item_id_decoder",
)
"""Stages that the fused graph times, in order; retrieval and filter take turns when too few are unseen."""


def part_name(stage: str, version: str) -> str:
    """Triton's name of a version's model of one stage."""
    return f"{stage}--{version}"


def split_name(model: str) -> tuple[str, str]:
    """Stage and version of a model's name; stages have no dash."""
    stage, _, version = model.partition("--")
    return stage, version
