"""A package as the stages read it; layout: ``docs/spec/package.md``.

A part is read, and a library imported, when it is first used: a process of the ensemble holds one stage and
pays for that one only.
"""

# ruff: noqa: PLC0415
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recstack_triton_templates import pacing
from recstack_triton_templates.stages import nvtabular, transforms
from recstack_triton_templates.stages.context_preprocessor import ContextPreprocessor
from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.feast_item_lookup import ItemTable
from recstack_triton_templates.stages.feast_user_lookup import UserTable
from recstack_triton_templates.stages.item_id_decoder import Decoder
from recstack_triton_templates.stages.multimodal_embedding_lookup import EmbeddingTables
from recstack_triton_templates.stages.nvt_transform import Transforms
from recstack_triton_templates.stages.transforms import Array

if TYPE_CHECKING:
    from recstack_triton_templates.stages.dlrm_ranking import Ranker
    from recstack_triton_templates.stages.faiss_retrieval import Retrieval
    from recstack_triton_templates.stages.query_tower import QueryTower


class Package:
    """The stages of one bundle whose parts were verified. ``device``: where networks go."""

    def __init__(self, folder: Path, device: Device = Device.CPU) -> None:
        self._folder, self._device = folder, device
        manifest = _json(folder / "manifest.json")
        self._columns: dict[str, str] = manifest["columns"]
        self.features: dict[str, list[str]] = manifest["features"]
        """Names by side, ``user``, ``item``, ``context``; this order is that of matrices, too."""
        # Packages of releases before it have none.
        self.embeddings: dict[str, int] = {one["name"]: one["dim"] for one in manifest.get("embeddings", ())}
        """Widths of the items' embeddings by name; this order is that of matrices, too."""

    @cached_property
    def _compiled(self) -> Any:
        compiled = _json(self._folder / "transforms.json")
        workflows = transforms.not_compiled(compiled)
        if not workflows:
            return compiled
        there = nvtabular.beside(self._folder)
        there.wait(workflows)
        return transforms.bound(compiled, there)

    @cached_property
    def _vocabularies(self) -> dict[str, Array]:
        return _arrays(self._folder / "vocab.npz")

    @cached_property
    def join_keys(self) -> dict[str, str]:
        """Id columns of the tables by side, ``user`` and ``item``: the feature store's keys."""
        tables = _json(self._folder / "recipe.json")["data"]["tables"]
        return {"user": tables["users"]["id"], "item": tables["items"]["id"]}

    def transforms(self, side: str) -> list[dict[str, Any]]:
        """Compiled transforms of the features of a side, in order."""
        return [self._compiled[name] for name in self.features[side]]

    def dtypes(self, side: str) -> dict[str, str]:
        """Type of each encoded feature of a side, ``int64`` or ``float32``, in order."""
        return {name: self._compiled[name]["dtype"] for name in self.features[side]}

    @cached_property
    def context(self) -> ContextPreprocessor:
        """Stage."""
        return ContextPreprocessor(self.transforms("context"), self._columns["timestamp"])

    @cached_property
    def users(self) -> UserTable:
        """Stage."""
        return UserTable(_arrays(self._folder / "users.npz"), self._columns["user"])

    @cached_property
    def user_transform(self) -> Transforms:
        """Stage."""
        return Transforms(self._compiled, self._vocabularies, self.features["user"])

    @cached_property
    def context_transform(self) -> Transforms:
        """Stage."""
        return Transforms(self._compiled, self._vocabularies, self.features["context"])

    @cached_property
    def item_transform(self) -> Transforms:
        """Of raw columns from elsewhere: the package's own items lie in it encoded."""
        return Transforms(self._compiled, self._vocabularies, self.features["item"])

    @cached_property
    def query_tower(self) -> "QueryTower":
        """Stage."""
        from recstack_triton_templates.stages.query_tower import QueryTower

        return QueryTower(self._folder / "query_tower.onnx", self._device)

    @cached_property
    def retrieval(self) -> "Retrieval":
        """Stage."""
        from recstack_triton_templates.stages.faiss_retrieval import Retrieval

        return Retrieval.read(self._folder / "index.faiss", self._device)

    @cached_property
    def items(self) -> ItemTable:
        """Stage."""
        return ItemTable(_arrays(self._folder / "items.npz"), self.features["item"])

    @cached_property
    def item_embeddings(self) -> EmbeddingTables:
        """Stage."""
        return EmbeddingTables(self._folder / "embeddings", self.embeddings)

    @cached_property
    def ranker(self) -> "Ranker":
        """Stage."""
        from recstack_triton_templates.stages.dlrm_ranking import Ranker

        return Ranker(self._folder / "ranker.onnx", self._device)

    @cached_property
    def titles(self) -> list[str | None]:
        """Of the catalog's rows."""
        titles: list[str | None] = _json(self._folder / "titles.json")
        return titles

    def check_items(self) -> None:
        """See that the parts with a row for each item have the same number.

        Raises:
            ValueError: they have not.
        """
        sizes = {
            "items.npz": len(self.items.ids),
            "titles.json": len(self.titles),
            "index.faiss": self.retrieval.items,
            **self.item_embeddings.sizes(),
        }
        if len(set(sizes.values())) > 1:
            raise ValueError(f"parts of the package disagree about the number of items: {sizes}")

    @cached_property
    def decoder(self) -> Decoder:
        """Stage."""
        return Decoder(self.items.ids, self.titles)


def load(folder: Path, device: Device = Device.CPU) -> Package:
    """Read all of a package whose parts were verified.

    Raises:
        ValueError: parts that do not fit each other.
    """
    made = Package(folder, device)
    made.check_items()
    for stage in ("context", "users", "user_transform", "context_transform", "query_tower", "ranker"):
        getattr(made, stage)
        pacing.rest()
    return made


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)
