import pytest
from pydantic import ValidationError
from recstack_crds.v1alpha1 import ModelVersionSpec, RecommenderStackSpec


def test_an_empty_spec_is_the_reference_system() -> None:
    spec = RecommenderStackSpec.model_validate({})
    assert [f.name for f in spec.features.user] == [
        "user_id",
        "gender",
        "top_category",
        "age_norm",
        "age_binned",
    ]
    assert spec.models.retrieval.towers == [128, 64]
    assert spec.serving.candidates == 300
    assert spec.data.source.synthetic is not None


def test_the_wire_form_is_camel_case_and_comes_back_equal() -> None:
    spec = RecommenderStackSpec.model_validate({"deletionPolicy": "Retain", "serving": {"topK": 7}})
    wire = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert wire["serving"]["topK"] == 7
    assert RecommenderStackSpec.model_validate(wire) == spec


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"features": {"user": [{"name": "a", "column": "a", "ops": [{"op": "Nope"}]}]}}, "op"),
        ({"serving": {"replicaz": 1}}, "replicaz"),
        ({"data": {"source": {"synthetic": {"users": -1}}}}, "users"),
    ],
)
def test_a_wrong_field_is_named(spec: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        RecommenderStackSpec.model_validate(spec)


def test_a_version_names_its_stack() -> None:
    with pytest.raises(ValidationError, match="stack"):
        ModelVersionSpec.model_validate({})


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "recall@10", "min": 0.1},
        {"metric": "recall@10/popularity", "min": 1.5},
        {"metric": "coverage@100", "max": 0.9, "slice": "colour=dark red"},
        {"metric": "auc", "relativeTo": "live", "minRatio": 0.99, "confidence": 0.9},
    ],
)
def test_gates_that_may_be_asked(gate: dict[str, object]) -> None:
    spec = RecommenderStackSpec.model_validate({"evaluation": {"gates": [gate]}})
    wire = spec.evaluation.gates[0].model_dump(mode="json", by_alias=True, exclude_none=True)
    assert wire == gate


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "recall@0", "min": 0.1},
        {"metric": "recall@101", "min": 0.1},
        {"metric": "f1", "min": 0.1},
        {"metric": "auc", "min": 0.1, "slice": "nobody"},
        {"metric": "auc", "min": 0.1, "slice": 'colour="red"'},
        {"metric": "auc", "relativeTo": "live", "minRatio": 0},
    ],
)
def test_gates_that_cannot_be(gate: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RecommenderStackSpec.model_validate({"evaluation": {"gates": [gate]}})
