"""Whatever the OpenAPI document allows, and what it forbids, is answered as the document says: never a 500.

schemathesis makes the requests from the document that the pod serves; the pod has a real Triton and Valkey.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from recstack_gateway.api import Api
from recstack_gateway.loader import Loader
from recstack_gateway.triton import Triton
from recstack_gateway.versions import Versions
from schemathesis import GenerationMode
from schemathesis.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.serving.pod import Pod


async def _nothing(name: str) -> dict[str, str]:
    return {}


NO_TRITON = cast(Triton, SimpleNamespace())
IDLE = Versions(NO_TRITON, Loader(NO_TRITON, _nothing, Path()))
DOCUMENT = Api(IDLE, None, "", lambda: True).app().openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
    allow_header_conformance,
]


def test_the_document_is_that_of_the_pod(pod: Pod) -> None:
    assert pod.client.get("/openapi.json").json() == DOCUMENT


CASES = [
    pytest.param(label, mode, id=f"{label} {mode.value}")
    for label, one in OPERATIONS.items()
    for mode in GenerationMode
    # Where nothing is asked for, nothing can be asked wrongly.
    if mode is GenerationMode.POSITIVE or one.body or len(one.path_parameters) or len(one.query)
]


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_every_route_keeps_to_the_document(label: str, mode: GenerationMode, pod: Pod) -> None:
    # What is wrong with one request of a batch is told in its place.
    checks = [one for one in CHECKS if not (":batch" in label and one is negative_data_rejection)]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=str(pod.client.base_url), checks=checks, timeout=10)

    ask()


def test_the_pod_is_well_after_all_that(pod: Pod) -> None:
    assert pod.client.get("/readyz").status_code == 200
    assert pod.states() == {"first": "Proven"}
