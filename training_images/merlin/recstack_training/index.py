"""The FAISS index of the catalog: which kind, with which parameters, and what share of exact search it finds.

What the recipe leaves out follows from the number of items. Reasons, measured: ``docs/figures.md``, "Index".
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from recstack_crds.v1alpha1.models import Index, IndexType
from recstack_triton_templates.stages.faiss_retrieval import Retrieval

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

INDEX = "index.json"
"""Kind and parameters, in the folder of the step."""
TRIED, WANTED = 256, 600
"""Users of the training days, and items for each, that the breadth of a search is chosen by: what serving
asks for 300 candidates of a person whose seen items leave."""
FLAT_ITEMS = 20_000
"""Up to so many items exact search is fast enough that nothing is won by another."""
LEAST_RECALL = 0.99
"""Of exact search: what parameters of a search that nobody declared are raised to."""
LIST_ROWS = 39
"""Fewest rows of a list that k-means should see; FAISS warns below."""
M, EF_CONSTRUCTION = 32, 80
EF_SEARCH = 64, 4096
"""First and last tried; a search for k items never looks at fewer than k."""


@dataclass(frozen=True)
class Plan:
    """An index with all parameters; None: of another kind."""

    type: IndexType
    nlist: int | None = None
    nprobe: int | None = None
    m: int | None = None
    ef_construction: int | None = None
    ef_search: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the manifest: the kind and its parameters, named as in the recipe."""
        dumped = Index.model_validate(asdict(self)).model_dump(mode="json", by_alias=True, exclude_none=True)
        return dict(dumped)


def plan(asked: Index, items: int) -> Plan:
    """The kind and the first parameters for a catalog of ``items``."""
    kind = asked.type
    if kind is IndexType.AUTO:
        kind = IndexType.FLAT if items <= FLAT_ITEMS else IndexType.IVF
    if kind is IndexType.IVF:
        lists = min(asked.nlist or lists_for(items), max(1, items))
        return Plan(kind, nlist=lists, nprobe=min(asked.nprobe or max(1, lists // 64), lists))
    if kind is IndexType.HNSW:
        return Plan(
            kind,
            m=asked.m or M,
            ef_construction=asked.ef_construction or EF_CONSTRUCTION,
            ef_search=asked.ef_search or EF_SEARCH[0],
        )
    return Plan(kind)


def lists_for(items: int) -> int:
    """Lists of IVF: the power of two at or below 4 sqrt(items) that leaves k-means enough rows a list."""
    most = max(1, min(4 * items**0.5, items / LIST_ROWS))
    return 1 << int(most).bit_length() - 1


def build(vectors: Floats, wanted: Plan, seed: int) -> Any:
    """The index of unit ``vectors`` [I, D], inner product, position = row."""
    dim = vectors.shape[1]
    if wanted.type is IndexType.IVF:
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, wanted.nlist, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed
        index.cp.min_points_per_centroid = 1  # a catalog smaller than declared lists is no reason to warn
        index.train(vectors)
    elif wanted.type is IndexType.HNSW:
        index = faiss.IndexHNSWFlat(dim, wanted.m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = wanted.ef_construction
    else:
        index = faiss.IndexFlatIP(dim)
    index.add(vectors)
    search_with(index, wanted)
    return index


def search_with(index: Any, wanted: Plan) -> None:
    """Set the parameters that may change after building; they are saved with the index."""
    if wanted.type is IndexType.IVF:
        index.nprobe = wanted.nprobe
    elif wanted.type is IndexType.HNSW:
        index.hnsw.efSearch = wanted.ef_search


def fit(vectors: Floats, queries: Floats, asked: Index, seed: int) -> tuple[Any, Plan]:
    """The index that is asked for, and what it became.

    A breadth of search that is left out is doubled until ``queries`` [N, D] find ``LEAST_RECALL`` of their
    exact ``WANTED``. Where kind and breadth are left out and that takes half the catalog, it is Flat.
    """
    chosen = plan(asked, len(vectors))
    built = build(vectors, chosen, seed)
    if chosen.type is IndexType.FLAT:
        return built, chosen
    nearest = exact(vectors, queries, WANTED)
    retrieval = Retrieval(built)
    while recall(np.stack(retrieval(queries, [WANTED] * len(queries))), nearest) < LEAST_RECALL:
        wider = widened(chosen, asked)
        if wider is None:
            break
        chosen = wider
        search_with(built, chosen)
    else:
        return built, chosen
    if asked.type is IndexType.AUTO:
        chosen = Plan(IndexType.FLAT)
        built = build(vectors, chosen, seed)
    return built, chosen


def widened(now: Plan, asked: Index) -> Plan | None:
    """Twice as broad a search; None where the breadth is declared or at its end."""
    if now.type is IndexType.IVF and asked.nprobe is None and now.nlist and now.nprobe:
        last = now.nlist // 2 if asked.type is IndexType.AUTO else now.nlist
        return replace(now, nprobe=min(2 * now.nprobe, last)) if now.nprobe < last else None
    if now.type is IndexType.HNSW and asked.ef_search is None and now.ef_search:
        return replace(now, ef_search=2 * now.ef_search) if now.ef_search < EF_SEARCH[1] else None
    return None


def exact(vectors: Floats, queries: Floats, count: int) -> Ints:
    """The ``count`` nearest rows [N, count] of ``queries`` [N, D]."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    rows: Ints = flat.search(queries, min(count, len(vectors)))[1]
    return rows


def recall(found: Ints, wanted: Ints) -> float:
    """Mean share of the exact rows ``wanted`` [N, C] among those ``found`` [N, C]; 1 where none is wanted."""
    if wanted.size == 0:
        return 1.0
    return float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found, strict=True)]))
