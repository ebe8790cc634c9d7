"""The ensemble's stages one after the other in this process, against the fused graph."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recstack_triton_templates import matrices
from recstack_triton_templates.graph import LAST, REPLY, REQUEST, STAGES, TENSORS
from recstack_triton_templates.online import AskedSeen, Known
from recstack_triton_templates.package import Package, load
from recstack_triton_templates.parts import Parts
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import TrendingUnavailable
from recstack_triton_templates.trending_keys import TrendingKeys

from tests.serving.sample_package import FILMS, ILLUSTRATED, NOW, RETAIL, SamplePackage

NUMPY = {"UINT8": np.uint8, "INT64": np.int64, "BOOL": np.bool_, "FP32": np.float32, "FP64": np.float64}
SEEN = {1: range(1000, 1100), 2: range(1000, 1399), 3: range(1000, 1400)}
"""What users saw; the store is down for user 4, and for user 5 from when candidates are there."""
USERS: dict[int, dict[str, Array]] = {
    3: {},
    11: {"gender": np.array(["F"]), "age": np.array([None], dtype=object)},
    51: {"gender": np.array(["M"]), "age": np.array([33])},
}
"""What is online of users; the package tells of others."""


LISTS = {
    "everywhere": [1399, 1000, 7, 1398, 1001, *range(1300, 1340)],
    "F": [1200, 1000, 1201],
    "M": [1210, 1399],
}
"""Ids, one of no item; by gender for those of whom it is known."""
TRENDING: dict[str, Any] = {
    "trending_candidates": 6,
    "trending_cold_candidates": 15,
    "trending_by": {"gender": "item_gender"},
}


class Lists:
    """Trending lists in memory; None: down."""

    keys = TrendingKeys("shop/retail")

    def __init__(self, ids: Mapping[str, Sequence[int]] | None) -> None:
        self._lists = ids and {
            self.keys.everywhere() if name == "everywhere" else self.keys.among("item_gender", name): one
            for name, one in ids.items()
        }

    def lists(self, names: Sequence[str], count: int) -> list[Array]:
        if self._lists is None:
            raise TrendingUnavailable("down")
        return [np.array(self._lists.get(name, ()), np.int64)[:count] for name in names]


class Store:
    def fetch(self, requests: Sequence[Request]) -> list[Known]:
        return [self._one(request) for request in requests]

    @staticmethod
    def _one(request: Request) -> Known:
        if request.user_id is None or request.plain:
            return Known()
        if request.user_id == 5:
            return Known(seen=AskedSeen(lambda asked: None, lambda asked: np.isin(asked, SEEN[1])))
        ids = np.array(SEEN.get(request.user_id, range(0)))
        seen = (lambda asked: np.isin(asked, ids)) if len(ids) else None
        return Known(USERS.get(request.user_id), seen, degraded=request.user_id == 4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("artifacts")
    samples = {name: SamplePackage(one, 3) for name, one in SCHEMAS.items()}
    samples |= {kind: SamplePackage(RETAIL, 3, kind) for kind in ("IVF", "HNSW")}
    digests = {name: one.write(root, name) for name, one in samples.items()}
    return {name: root / "packages" / one.removeprefix("sha256:") for name, one in digests.items()}


SCHEMAS = {"retail": RETAIL, "films": FILMS, "illustrated": ILLUSTRATED}


class Ensemble:
    """Each stage with a package and an object of its own, as in processes; asked to what Triton asks for."""

    def __init__(self, folder: Path, settings: ServingSettings, lists: Lists | None = None) -> None:
        self.parts = {
            stage: Parts(
                Package(folder), settings, Store(), lambda: float(NOW), self._retrieve, trending=lists
            )
            for stage in STAGES
        }
        self.again = 0
        for stage, part in self.parts.items():
            part.warm(stage)

    def answer(self, content: bytes) -> bytes:
        tensors: dict[str, Array] = {REQUEST: matrices.to_bytes(content)}
        for name, stage in STAGES.items():
            outputs = self._run(name, {one: tensors[one] for one in stage.inputs})
            assert tuple(outputs) == stage.outputs
            tensors |= outputs
        return tensors[REPLY].tobytes()

    def _run(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = dict(self.parts[name].run(name, inputs))
        for tensor, value in outputs.items():
            assert value.dtype == NUMPY[TENSORS[tensor].type], tensor
            assert value.ndim == len(TENSORS[tensor].dims), tensor
            assert len(value) > 0, tensor
        return outputs

    def _retrieve(self, query: Array, count: int) -> Array:
        self.again += 1
        rows = self._run("faiss_retrieval", {"QUERY": query, "FETCH": np.array([count])})["ROWS"][0]
        found: Array = rows[rows >= 0]
        return found


def _requests() -> list[dict[str, Any]]:
    users = [None, 0, 1, 2, 3, 4, 5, 11, 50, 51, -1, 2**63 - 1]
    contexts: list[dict[str, Any]] = [
        {},
        {"device_type": 2},
        {"device_type": "tablet", "timestamp": NOW + 9999},
    ]
    return [
        {
            "user_id": user,
            "k": k,
            "candidates": candidates,
            "context": context,
            "seed": 5,
            "plain": plain,
            "explain": k == 500,
        }
        for (user, context), (k, candidates, plain) in itertools.product(
            itertools.product(users, contexts), [(5, 40, False), (500, 450, False), (30, 20, True)]
        )
    ]


CAPPED = {"diversity": True, "temperature": 0.2, "max_per_value": 2}


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize(
    ("schema", "more"),
    [
        ("retail", {}),
        ("retail", CAPPED | {"max_per_value_feature": "category_l1"}),
        ("illustrated", {}),
        ("films", CAPPED | {"max_per_value_feature": "genre"}),
        ("IVF", {}),
        ("HNSW", {}),
        ("retail", TRENDING),
        ("IVF", TRENDING | {"trending_by": {}}),
    ],
)
def test_equals_the_fused_graph(
    folders: dict[str, Path], schema: str, more: dict[str, Any], batch: int
) -> None:
    settings = ServingSettings(**more)
    lists = Lists(LISTS) if settings.trending else None
    ensemble = Ensemble(folders[schema], settings, lists)
    fused = Recommender(load(folders[schema]), settings, Store(), lambda: float(NOW), trending=lists)
    lines = [json.dumps(one) for one in _requests()]
    lines[3] = '{"nonsense": 1}'
    for start in range(0, len(lines), batch):
        content = "\n".join(lines[start : start + batch]).encode()
        one, other = (_replies(answer(content)) for answer in (ensemble.answer, fused.answer))
        assert len(one) == len(lines[start : start + batch])
        for reply, expected in zip(one, other, strict=True):
            assert reply.get("problem") == expected.get("problem")
            assert reply.get("degraded") == expected.get("degraded")
            pairs, wanted = (
                [(i["id"], i["title"]) for i in each.get("items", [])] for each in (reply, expected)
            )
            assert pairs == wanted
            told, wanted_told = (
                (
                    each.get("explain", {}).get("candidates"),
                    [(i.get("source"), i.get("source_rank")) for i in each.get("items", [])],
                )
                for each in (reply, expected)
            )
            assert told == wanted_told
            scores = [[i["score"] for i in each.get("items", [])] for each in (reply, expected)]
            np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    assert ensemble.again > 0


@pytest.mark.parametrize("graph", ["fused", "ensemble"])
def test_a_filter_that_goes_away_before_it_is_asked_is_told(folders: dict[str, Path], graph: str) -> None:
    """What was read before still leaves."""
    settings = ServingSettings(seen_filter=True)
    made = (
        Ensemble(folders["retail"], settings)
        if graph == "ensemble"
        else Recommender(load(folders["retail"]), settings, Store(), lambda: float(NOW))
    )
    asked = b"\n".join(b'{"user_id": %d, "k": 500, "candidates": 450}' % user for user in (5, 1))
    lost, whole = _replies(made.answer(asked))
    assert (lost["degraded"], whole["degraded"]) == (True, False)
    assert len(lost["items"]) > 200
    assert not {one["id"] for one in lost["items"]} & set(SEEN[1])


@pytest.mark.parametrize("graph", ["fused", "ensemble"])
def test_trending_lists_that_are_empty_or_down(folders: dict[str, Path], graph: str) -> None:
    settings = ServingSettings(**TRENDING)

    def answer(content: bytes, lists: Lists | None) -> dict[str, Any]:
        if graph == "ensemble":
            return _replies(Ensemble(folders["retail"], settings, lists).answer(content))[0]
        return _replies(
            Recommender(
                load(folders["retail"]), settings, Store(), lambda: float(NOW), trending=lists
            ).answer(content)
        )[0]

    for asked in (b'{"user_id": 11, "candidates": 20}', b'{"candidates": 20}'):
        without = answer(asked, None)
        assert answer(asked, Lists({})) == without
        assert answer(asked, Lists(None)) == without | {"degraded": True}
        assert answer(asked, Lists(LISTS)) != without
    plain = b'{"user_id": 11, "plain": true}'
    assert answer(plain, Lists(None)) == answer(plain, None)


def test_the_ensemble_tells_the_time_of_each_stage(folders: dict[str, Path]) -> None:
    ensemble = Ensemble(folders["retail"], ServingSettings())
    reply = _replies(ensemble.answer(b'{"user_id": 11, "explain": true}'))[0]
    assert list(reply["explain"]["stages"]) == [stage for stage in STAGES if stage != LAST]
    assert all(milliseconds > 0 for milliseconds in reply["explain"]["stages"].values())


def _replies(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split(b"\n")]


def test_a_batch_of_the_fused_graph_equals_single_requests(folders: dict[str, Path]) -> None:
    fused = Recommender(load(folders["retail"]), ServingSettings(), Store(), lambda: float(NOW))
    lines = [json.dumps(one).encode() for one in _requests()]
    for single, reply in zip(
        map(fused.answer, lines), _replies(fused.answer(b"\n".join(lines))), strict=True
    ):
        expected = json.loads(single)
        assert [one["id"] for one in reply["items"]] == [one["id"] for one in expected["items"]]
        scores = [[one["score"] for one in each["items"]] for each in (reply, expected)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_the_graph_is_whole() -> None:
    made = {REQUEST}
    for stage in STAGES.values():
        assert set(stage.inputs) <= made
        assert not set(stage.outputs) & made
        made |= set(stage.outputs)
    assert made == set(TENSORS)
    used = {name for stage in STAGES.values() for name in stage.inputs}
    assert made - used == {REPLY}


@pytest.mark.parametrize("graph", ["fused", "ensemble"])
def test_a_cap_on_what_the_package_has_not(folders: dict[str, Path], graph: str) -> None:
    settings = ServingSettings(graph=graph, max_per_value_feature="colour", max_per_value=1)
    made: dict[str, Callable[[], object]] = {
        "fused": lambda: Recommender(load(folders["films"]), settings, None, lambda: 0.0),
        "ensemble": lambda: Ensemble(folders["films"], settings),
    }
    with pytest.raises(ValueError, match=r"no item feature 'colour'; it has film, genre"):
        made[graph]()


def test_parts_that_disagree_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["retail"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "titles.json").write_text("[]")
    with pytest.raises(ValueError, match="disagree about the number of items"):
        Ensemble(tmp_path, ServingSettings())


def test_raw_columns_come_back_with_their_types() -> None:
    raws = [
        {"a": np.array([3], np.int32), "b": np.array([0.1], np.float32), "c": np.array(["Ä\n"])},
        {"c": np.array([None], object), "d": np.array([2**63 - 1])},
        {},
    ]
    found = matrices.read_raw(matrices.write_raw(raws))
    assert [list(one) for one in found] == [list(one) for one in raws]
    for one, other in zip(found, raws, strict=True):
        for name, value in one.items():
            assert value.dtype == other[name].dtype
            assert value.tolist() == other[name].tolist()


def test_features_come_back_exactly() -> None:
    features = {"code": np.array([0, 2**53 - 1]), "number": np.array([0.1, -1e-38], np.float32)}
    matrix = matrices.pack(features, ["number", "code"], 2)
    assert matrix.shape == (2, 2)
    for name, value in matrices.unpack(matrix, {"number": "float32", "code": "int64"}).items():
        assert value.dtype == features[name].dtype
        assert value.tolist() == features[name].tolist()
    assert matrices.pack({}, [], 3).shape == (3, 0)
