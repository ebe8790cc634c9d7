"""The renderer against its golden files."""

import json
from pathlib import Path

import pytest
from recstack_triton_templates.render import SETTINGS_FILE, ServingSettings, model_name, render

GOLDEN = Path(__file__).parents[2] / "golden" / "triton_templates"
CASES = {
    "cpu": ServingSettings(),
    "ensemble": ServingSettings(graph="ensemble", max_per_value_feature="category_l1", max_per_value=3),
    "gpu": ServingSettings(
        candidates=500, top_k=50, gpus=1, tensorrt=True, instances=2, diversity=True, temperature=0.1
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    files = render("retail-1a2b", CASES[case])
    expected = {
        path.relative_to(GOLDEN / case).as_posix(): path.read_bytes()
        for path in (GOLDEN / case).rglob("*")
        if path.is_file()
    }
    assert files == expected


def test_settings_come_back() -> None:
    settings = CASES["gpu"]
    content = render("v", settings)[f"{model_name('v')}/1/{SETTINGS_FILE}"]
    assert ServingSettings(**json.loads(content)) == settings


def test_paths_fit_a_configmap() -> None:
    assert not any("__" in path for path in render("a-b", ServingSettings()))
