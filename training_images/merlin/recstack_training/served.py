"""A bundle as a serving pod uses it: compiled transforms, ONNX networks, FAISS index. No Keras; NVTabular for
what is not compiled only.

Evaluation and the probe's answers come from here, so that what is measured is what will be served.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from recstack_crds.v1alpha1.features import Feature
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.faiss_retrieval import Retrieval
from recstack_triton_templates.stages.transforms import Array

from recstack_training import columns as raw_columns
from recstack_training import compiled_transforms, pretrained
from recstack_training.dataset import arrays
from recstack_training.export import session

CANDIDATES = 300
"""Items that retrieval hands to ranking when a version is evaluated: the default of ``spec.serving``."""
BATCH = 64
"""Requests that are ranked at once."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ranked:
    """Ranked lists of N requests: rows of the catalog and scores [N, C], best first."""

    rows: Ints
    scores: Floats


class Bundle:
    """The files of one version, by their names in the package."""

    def __init__(self, files: Mapping[str, Path], recipe: Recipe, threads: int = 0) -> None:
        """Open them; ``threads`` is ONNX Runtime's, 0 means one a core."""
        self._features = recipe.features
        self._transforms = compiled_transforms.read(files["transforms.json"])
        self._vocabularies = arrays(files["vocab.npz"])
        users = arrays(files["users.npz"])
        self._user_ids: Ints = users.pop("__id__")
        self._users = raw_columns.unpack(users)
        self._items = arrays(files["items.npz"])
        self.item_ids: Ints = self._items.pop("__id__")
        self._embeddings: dict[str, Floats] = {
            one.name: np.load(files[pretrained.part(one.name)]) for one in recipe.features.embeddings
        }
        self._tower = session(files["query_tower.onnx"], threads)
        self._ranker = session(files["ranker.onnx"], threads)
        self.retrieval = Retrieval.read(files["index.faiss"])
        if self.retrieval.items != len(self.item_ids):
            raise ValueError(f"The index has {self.retrieval.items} items, the catalog {len(self.item_ids)}.")

    def _unknown(self, feature: Feature, size: int) -> Array:
        transform = self._transforms[feature.name]
        value = transforms.default_value(transform, self._vocabularies)
        return np.full(size, value, dtype=transform["dtype"])

    def user(self, ids: Ints) -> dict[str, Array]:
        """Encoded user features [N] of raw ``ids`` [N]; an id without a row gets every feature's default."""
        place = np.minimum(np.searchsorted(self._user_ids, ids), len(self._user_ids) - 1)
        known = self._user_ids[place] == ids
        out = {}
        for feature in self._features.user:
            encoded = self._unknown(feature, len(ids))
            raw = self._users[feature.column][place[known]]
            encoded[known] = transforms.apply(self._transforms[feature.name], raw, self._vocabularies)
            out[feature.name] = encoded
        return out

    def context(self, raw: Mapping[str, Array], size: int) -> dict[str, Array]:
        """Encoded context features [N] of raw columns [N]; what is absent or null gives the default."""
        out = {}
        for feature in self._features.context:
            out[feature.name] = self._unknown(feature, size)
            if feature.column in raw:
                given = ~transforms.null_mask(raw[feature.column])
                out[feature.name][given] = transforms.apply(
                    self._transforms[feature.name], raw[feature.column][given], self._vocabularies
                )
        return out

    def embed(self, user: Mapping[str, Array]) -> Floats:
        """Query embeddings [N, D] of encoded user features [N]."""
        vectors: Floats = self._tower.run(None, dict(user))[0]
        return vectors

    def retrieve(self, user: Mapping[str, Array], candidates: int) -> Ints:
        """Rows [N, min(candidates, I)] of the nearest items."""
        queries = self.embed(user)
        return np.stack(self.retrieval(queries, [candidates] * len(queries)))

    def score(self, user: Mapping[str, Array], context: Mapping[str, Array], rows: Ints) -> Floats:
        """The ranker's scores [N, C] of items ``rows`` [N, C] for N requests with features [N]."""
        wanted = {value.name for value in self._ranker.get_inputs()}
        width = rows.shape[1]
        feed = {name: np.repeat(value, width) for name, value in {**user, **context}.items()}
        feed |= {name: value[rows.reshape(-1)] for name, value in self._items.items()}
        columns = {name: v[:, None] for name, v in feed.items() if name in wanted}
        vectors = {name: table[rows.reshape(-1)] for name, table in self._embeddings.items()}
        answer = self._ranker.run(None, columns | vectors)[0]
        scores: Floats = answer.reshape(rows.shape)
        return scores

    def recommend(self, ids: Ints, raw: Mapping[str, Array], candidates: int = CANDIDATES) -> Ranked:
        """Ranked lists for N requests: users ``ids`` [N] (-1: unknown) in contexts ``raw`` [N] by column."""
        parts = [self._recommend(ids[s], {k: v[s] for k, v in raw.items()}, candidates)
                 for s in slices(len(ids), BATCH)]  # fmt: skip
        return Ranked(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _recommend(self, ids: Ints, raw: Mapping[str, Array], candidates: int) -> tuple[Ints, Floats]:
        user = self.user(ids)
        rows = self.retrieve(user, candidates)
        scores = self.score(user, self.context(raw, len(ids)), rows)
        # Stable: items of equal score stay in the order that retrieval found them.
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


def slices(total: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``total``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
