"""The reference's 14 models and their ensemble as a Triton repository.

``recommender-cached`` is the same ensemble after the reference's own improvement: raw features of items in
the memory of ``feast_item_lookup``. Matrices of features are packed: as few tensors as there can be.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ENTRY, CACHED = "recommender", "recommender-cached"
CACHED_LOOKUP = "feast_item_lookup-cached"


@dataclass(frozen=True)
class BaselineSettings:
    """``roots``: folders of the code; ``package``, ``feast``: the bundle's and the Feast repo's folder."""

    roots: list[str]
    package: str
    feast: str
    valkey: str
    candidates: int = 300
    top_k: int = 100


TENSORS: Mapping[str, tuple[str, str]] = {
    "USER_ID": ("INT64", "1"),
    "DEVICE_TYPE": ("INT64", "1"),
    "TIMESTAMP": ("INT64", "1"),
    "DEVICE": ("INT64", "1"),
    "TIME": ("INT64", "1"),
    "USER_KEY": ("INT64", "1"),
    "USER_TEXT": ("STRING", "-1"),
    "AGE": ("FP64", "1"),
    "USER_FEATURES": ("FP64", "-1, -1"),
    "CONTEXT_FEATURES": ("FP64", "-1, -1"),
    "QUERY": ("FP32", "-1, -1"),
    "RETRIEVED": ("INT64", "-1"),
    "CANDIDATES": ("INT64", "-1"),
    "ITEM_TEXT": ("STRING", "-1, -1"),
    "PRICE": ("FP64", "-1"),
    "ITEM_FEATURES": ("FP64", "-1, -1"),
    "ITEM_INPUTS": ("FP64", "-1, -1"),
    "FEATURES": ("FP64", "-1, -1"),
    "SCORES": ("FP32", "-1"),
    "ORDER": ("INT64", "-1"),
    "ORDER_SCORES": ("FP32", "-1"),
    "ITEM_IDS": ("INT64", "-1"),
    "ITEM_SCORES": ("FP32", "-1"),
}
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "context_preprocessor": (("DEVICE_TYPE", "TIMESTAMP"), ("DEVICE", "TIME")),
    "feast_user_lookup": (("USER_ID",), ("USER_KEY", "USER_TEXT", "AGE")),
    "nvt_user_transform": (("USER_KEY", "USER_TEXT", "AGE"), ("USER_FEATURES",)),
    "nvt_context_transform": (("DEVICE", "TIME"), ("CONTEXT_FEATURES",)),
    "query_tower": (("USER_FEATURES",), ("QUERY",)),
    "faiss_retrieval": (("QUERY",), ("RETRIEVED",)),
    "filter_seen_items": (("RETRIEVED", "USER_ID"), ("CANDIDATES",)),
    "feast_item_lookup": (("CANDIDATES",), ("ITEM_TEXT", "PRICE")),
    "nvt_item_transform": (("CANDIDATES", "ITEM_TEXT", "PRICE"), ("ITEM_FEATURES",)),
    "multimodal_embedding_lookup": (("ITEM_FEATURES",), ("ITEM_INPUTS",)),
    "unroll_features": (("USER_FEATURES", "CONTEXT_FEATURES", "ITEM_INPUTS"), ("FEATURES",)),
    "dlrm_ranking": (("FEATURES",), ("SCORES",)),
    "softmax_sampling": (("SCORES", "CANDIDATES"), ("ORDER", "ORDER_SCORES")),
    "item_id_decoder": (("ORDER", "ORDER_SCORES"), ("ITEM_IDS", "ITEM_SCORES")),
}
INPUTS, OUTPUTS = ("USER_ID", "DEVICE_TYPE", "TIMESTAMP"), ("ITEM_IDS", "ITEM_SCORES")
_MODEL = """import json, sys
from pathlib import Path

sys.path.extend(json.loads((Path(__file__).parents[2] / "settings.json").read_text())["roots"])
from benchmarks.serving.baseline.model import TritonPythonModel
"""


def write(folder: Path, settings: BaselineSettings) -> None:
    """Lay the repository out."""
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(asdict(settings)))
    for name, (inputs, outputs) in (STAGES | {CACHED_LOOKUP: STAGES["feast_item_lookup"]}).items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.py").write_text(_MODEL)
        config = f'name: "{name}"\nbackend: "python"\n{_tensors(inputs, outputs)}'
        (folder / name / "config.pbtxt").write_text(
            config + "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        )
    for entry, lookup in ((ENTRY, "feast_item_lookup"), (CACHED, CACHED_LOOKUP)):
        (folder / entry / "1").mkdir(parents=True)
        steps = ",\n".join(
            _step(lookup if name == "feast_item_lookup" else name, *ends) for name, ends in STAGES.items()
        )
        (folder / entry / "config.pbtxt").write_text(
            f'name: "{entry}"\nplatform: "ensemble"\n{_tensors(INPUTS, OUTPUTS)}'
            f"ensemble_scheduling {{ step [\n{steps}\n] }}\n"
        )


def _step(model: str, inputs: Iterable[str], outputs: Iterable[str]) -> str:
    maps = [f'input_map {{ key: "{name}" value: "{name}" }}' for name in inputs]
    maps += [f'output_map {{ key: "{name}" value: "{name}" }}' for name in outputs]
    return f'{{ model_name: "{model}" model_version: 1 {" ".join(maps)} }}'


def _tensors(inputs: Iterable[str], outputs: Iterable[str]) -> str:
    return "".join(
        f"{side} [\n" + ",\n".join(_tensor(name) for name in names) + "\n]\n"
        for side, names in (("input", inputs), ("output", outputs))
    )


def _tensor(name: str) -> str:
    kind, dims = TENSORS[name]
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: [ {dims} ] }}'
