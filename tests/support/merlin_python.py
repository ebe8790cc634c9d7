"""The Python that has Merlin, with the training image's code; make says which, by ``MERLIN_PYTHON``."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("training_images/merlin", "training_images/merlin/tests", "crds", "triton_templates")


def python() -> str:
    """Its path."""
    if "MERLIN_PYTHON" not in os.environ:
        raise RuntimeError("MERLIN_PYTHON is not set to a Python that has Merlin: run this by make")
    return os.environ["MERLIN_PYTHON"]


def environment() -> dict[str, str]:
    """For a process of it."""
    path = ":".join(str(ROOT / one) for one in CODE)
    return os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
