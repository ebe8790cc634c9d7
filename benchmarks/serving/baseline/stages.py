"""The reference's stages, as well as its way allows: networks in ONNX Runtime, FAISS, one Valkey round trip.

What makes them slow is what the reference does at each request: ``Workflow.transform`` of NVTabular for user,
context and candidates, and ``get_online_features`` of the Feast SDK for user and candidates, one call for all
candidates. The seen filter is a set and SMISMEMBER, which costs the round trip that BF.MEXISTS would, and has
no false positives. Columns are those of the retail sample: this is data of a benchmark.
"""

# ruff: noqa: PLC0415
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.serving.baseline.repository import BaselineSettings

Array = npt.NDArray[Any]
Stage = Callable[..., Sequence[Array]]
USER_FEATURES = ("user_id", "gender", "top_category", "age_norm", "age_binned")
ITEM_FEATURES = ("item_id", "category_l1", "category_l2", "item_gender", "price_log_norm")
CONTEXT_FEATURES = ("device_type", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
CODES = {*USER_FEATURES, *ITEM_FEATURES, *CONTEXT_FEATURES} - {
    "age_norm", "price_log_norm", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos",
}  # fmt: skip
UNKNOWN = "-1"
USER_VIEW, ITEM_VIEW = "user_features", "item_features"
USER_RAW = ("gender", "top_category", "age")
ITEM_RAW = ("category_l1", "category_l2", "item_gender", "price")


def seen_key(user: int) -> str:
    """Valkey's key of the set of items that a user saw."""
    return f"reference:seen:{user}"


def make(name: str, settings: BaselineSettings, cached: bool) -> Stage:
    """The stage of that name; ``cached``: raw features of items are read once and kept."""
    stage: Stage = _item_lookup(settings, cached) if name == "feast_item_lookup" else _MAKERS[name](settings)
    return stage


def _context_preprocessor(settings: BaselineSettings) -> Stage:
    def call(device: Array, timestamp: Array) -> Sequence[Array]:
        return device, timestamp if timestamp[0] >= 0 else np.array([int(time.time())])

    return call


def _store(settings: BaselineSettings) -> Any:
    from feast import FeatureStore

    return FeatureStore(repo_path=settings.feast)


def _user_lookup(settings: BaselineSettings) -> Stage:
    import json

    store = _store(settings)
    transforms = json.loads((Path(settings.package) / "transforms.json").read_text())
    mean_age = transforms["age_norm"]["default"]["raw"]
    features = [f"{USER_VIEW}:{name}" for name in USER_RAW]

    def call(user: Array) -> Sequence[Array]:
        found = store.get_online_features(features, [{"user_id": int(user[0])}]).to_dict()
        gender, category, age = (found[name][0] for name in USER_RAW)
        if age is None:
            return np.array([-1]), np.array([UNKNOWN, UNKNOWN], object), np.array([mean_age])
        return user, np.array([gender, category], object), np.array([float(age)])

    return call


def _workflow(settings: BaselineSettings, kind: str) -> tuple[Any, Any]:
    import nvtabular
    import pandas

    return nvtabular.Workflow.load(str(Path(settings.package) / "workflows" / kind)), pandas


def _transformed(workflow: Any, frame: Any, names: Sequence[str]) -> Array:
    """[N, features] of a frame; its types are those that the workflow was fitted with."""
    out = workflow.transform(frame)
    return np.stack([out[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _text(values: Array) -> list[str]:
    return [value.decode() for value in values]


def _user_transform(settings: BaselineSettings) -> Stage:
    workflow, pandas = _workflow(settings, "user")

    def call(user: Array, text: Array, age: Array) -> Sequence[Array]:
        gender, category = _text(text)
        frame = pandas.DataFrame(
            {
                "user_id": pandas.array(user, "Int64"),
                "gender": [gender],
                "top_category": [category],
                "age": age,
            }
        )
        return (_transformed(workflow, frame, USER_FEATURES),)

    return call


def _context_transform(settings: BaselineSettings) -> Stage:
    workflow, pandas = _workflow(settings, "context")

    def call(device: Array, timestamp: Array) -> Sequence[Array]:
        frame = pandas.DataFrame({"device_type": pandas.array(device, "Int64"), "timestamp": timestamp})
        return (_transformed(workflow, frame, CONTEXT_FEATURES),)

    return call


def _item_transform(settings: BaselineSettings) -> Stage:
    workflow, pandas = _workflow(settings, "item")

    def call(items: Array, text: Array, price: Array) -> Sequence[Array]:
        columns = {name: _text(text[:, place]) for place, name in enumerate(ITEM_RAW[:-1])}
        frame = pandas.DataFrame({"item_id": pandas.array(items, "Int64"), **columns, "price": price})
        return (_transformed(workflow, frame, ITEM_FEATURES),)

    return call


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _columns(matrix: Array, names: Sequence[str]) -> dict[str, Array]:
    return {
        name: matrix[:, place].astype(np.int64 if name in CODES else np.float32)
        for place, name in enumerate(names)
    }


def _query_tower(settings: BaselineSettings) -> Stage:
    session = _session(Path(settings.package) / "query_tower.onnx")
    return lambda user: session.run(None, _columns(user, USER_FEATURES))


def _retrieval(settings: BaselineSettings) -> Stage:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.read_index(str(Path(settings.package) / "index.faiss"))
    with np.load(Path(settings.package) / "items.npz") as table:
        ids = table["__id__"]
    # Twice as many as are ranked, as some may have been seen.
    return lambda query: (ids[index.search(query, min(2 * settings.candidates, len(ids)))[1][0]],)


def _filter(settings: BaselineSettings) -> Stage:
    import valkey

    client: Any = valkey.Valkey.from_url(settings.valkey)

    def call(items: Array, user: Array) -> Sequence[Array]:
        if user[0] >= 0:
            items = items[np.array(client.smismember(seen_key(int(user[0])), items.tolist())) == 0]
        return (items[: settings.candidates],)

    return call


def _item_lookup(settings: BaselineSettings, cached: bool) -> Stage:
    store = _store(settings)
    features = [f"{ITEM_VIEW}:{name}" for name in ITEM_RAW]

    def read(items: Array) -> tuple[Array, Array]:
        rows = [{"item_id": item} for item in items.tolist()]
        found = store.get_online_features(features, rows).to_dict()
        text = np.array([found[name] for name in ITEM_RAW[:-1]], object).T
        return text, np.array(found[ITEM_RAW[-1]], np.float64)

    if not cached:
        return read
    with np.load(Path(settings.package) / "items.npz") as table:
        ids = table["__id__"]
    text, price = read(ids)

    def call(items: Array) -> Sequence[Array]:
        rows = np.searchsorted(ids, items)
        return text[rows], price[rows]

    return call


def _unroll(settings: BaselineSettings) -> Stage:
    def call(user: Array, context: Array, items: Array) -> Sequence[Array]:
        request = np.concatenate([user, context], axis=1)
        return (np.concatenate([np.repeat(request, len(items), axis=0), items], axis=1),)

    return call


def _ranking(settings: BaselineSettings) -> Stage:
    session = _session(Path(settings.package) / "ranker.onnx")
    names = (*USER_FEATURES, *CONTEXT_FEATURES, *ITEM_FEATURES)
    inputs = [one.name for one in session.get_inputs()]

    def call(features: Array) -> Sequence[Array]:
        columns = _columns(features, names)
        return (session.run(None, {name: columns[name][:, None] for name in inputs})[0].reshape(-1),)

    return call


def _ordering(settings: BaselineSettings) -> Stage:
    def call(scores: Array, items: Array) -> Sequence[Array]:
        order = np.argsort(-scores, kind="stable")[: settings.top_k]
        return items[order], scores[order]

    return call


def _passed_on(settings: BaselineSettings) -> Stage:
    """Embeddings: the bundle has no tables. Ids: retrieval gave the raw ones already, as the reference's."""
    return lambda *tensors: tensors


_MAKERS: Mapping[str, Callable[[BaselineSettings], Stage]] = {
    "context_preprocessor": _context_preprocessor,
    "feast_user_lookup": _user_lookup,
    "nvt_user_transform": _user_transform,
    "nvt_context_transform": _context_transform,
    "query_tower": _query_tower,
    "faiss_retrieval": _retrieval,
    "filter_seen_items": _filter,
    "nvt_item_transform": _item_transform,
    "multimodal_embedding_lookup": _passed_on,
    "unroll_features": _unroll,
    "dlrm_ranking": _ranking,
    "softmax_sampling": _ordering,
    "item_id_decoder": _passed_on,
}
