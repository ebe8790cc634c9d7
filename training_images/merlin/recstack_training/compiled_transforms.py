"""Compiled transforms as this image runs them."""

import json
from pathlib import Path
from typing import Any

from recstack_triton_templates.stages import transforms


def read(path: Path) -> dict[str, Any]:
    """``transforms.json``; what of it is not compiled NVTabular runs in this process."""
    compiled: dict[str, Any] = json.loads(path.read_text())
    if not transforms.not_compiled(compiled):
        return compiled
    from recstack_training import operators  # seconds of imports, and seldom needed

    return transforms.bound(compiled, operators.operator_in(path.parent))
