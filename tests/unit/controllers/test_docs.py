"""The specification tells every reason that a condition can have, and names tests that exist."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SPEC = ROOT / "docs" / "spec"
KINDS = ("recommenderstack", "modelversion")
UNSAID = {"NotStalled", "Settled"}
"""Of conditions that say that nothing is the matter."""


def text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_state(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "State"


def reasons(source: Path) -> Iterator[str]:
    """Words beside a State, and first arguments of what ends a reconcile early."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Tuple):
            found, ends = node.elts, False
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found, ends = node.args, name in {"Waiting", "Stalled", "Failure", "BadInput"}
        else:
            continue
        if ends and found:
            yield text(found[0])
        yield from (text(after) for one, after in itertools.pairwise(found) if is_state(one))


def test_the_specification_tells_every_reason() -> None:
    steps = ROOT / "training_images" / "merlin" / "recstack_training"
    sources = [*(ROOT / "controllers").rglob("*.py"), *steps.rglob("*.py")]
    found = {reason for source in sources for reason in reasons(source)} - UNSAID - {""}
    assert {"SecretMissing", "GateMissed", "OutOfMemory", "Queued", "NoModel"} <= found
    told = "".join((SPEC / f"{kind}.md").read_text() for kind in KINDS)
    assert {reason for reason in found if f"`{reason}`" not in told} == set()


def test_the_tests_that_the_specification_names_exist() -> None:
    named = {
        name
        for page in SPEC.glob("*.md")
        for name in re.findall(
            r"`((?:unit|integration|e2e|serving|training_images)/[\w/]+\.py)`", page.read_text()
        )
    }
    assert "integration/test_operator.py" in named
    missing = {name for name in named if not ((ROOT / "tests" / name).exists() or (ROOT / name).exists())}
    assert missing == set()
