"""A package as the stages read it; layout: ``docs/spec/package.md``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recstack_triton_templates.stages.context_preprocessor import ContextPreprocessor
from recstack_triton_templates.stages.dlrm_ranking import Ranker
from recstack_triton_templates.stages.faiss_retrieval import Retrieval
from recstack_triton_templates.stages.feast_item_lookup import ItemTable
from recstack_triton_templates.stages.feast_user_lookup import UserTable
from recstack_triton_templates.stages.item_id_decoder import Decoder
from recstack_triton_templates.stages.nvt_transform import Transforms
from recstack_triton_templates.stages.query_tower import QueryTower
from recstack_triton_templates.stages.transforms import Array


@dataclass(frozen=True)
class Package:
    """All stages of one bundle, loaded."""

    context: ContextPreprocessor
    users: UserTable
    user_transform: Transforms
    context_transform: Transforms
    query_tower: QueryTower
    retrieval: Retrieval
    items: ItemTable
    ranker: Ranker
    decoder: Decoder


def load(folder: Path, gpu: bool = False) -> Package:
    """Load a package whose parts were verified.

    Raises:
        ValueError: parts that do not fit each other.
    """
    manifest = _json(folder / "manifest.json")
    features, columns = manifest["features"], manifest["columns"]
    compiled, vocabularies = _json(folder / "transforms.json"), _arrays(folder / "vocab.npz")
    items = ItemTable(_arrays(folder / "items.npz"), features["item"])
    titles = _json(folder / "titles.json")
    retrieval = Retrieval(folder / "index.faiss")
    sizes = {"items.npz": len(items.ids), "titles.json": len(titles), "index.faiss": retrieval.items}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"parts of the package disagree about the number of items: {sizes}")
    return Package(
        context=ContextPreprocessor([compiled[name] for name in features["context"]], columns["timestamp"]),
        users=UserTable(_arrays(folder / "users.npz"), columns["user"]),
        user_transform=Transforms(compiled, vocabularies, features["user"]),
        context_transform=Transforms(compiled, vocabularies, features["context"]),
        query_tower=QueryTower(folder / "query_tower.onnx", gpu),
        retrieval=retrieval,
        items=items,
        ranker=Ranker(folder / "ranker.onnx", gpu),
        decoder=Decoder(items.ids, titles),
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)
