"""The operator's image has the operator's lock only."""

import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[3] / "operator" / "requirements.lock"
ABSENT = ("numpy", "onnxruntime", "faiss", "tritonclient", "pandas", "pyarrow", "boto3", "valkey", "fastapi")
"""What other parts need, and the machine that runs this test has."""


def test_it_starts_without_what_only_models_and_gateways_need() -> None:
    locked = {line.split("==")[0] for line in LOCK.read_text().splitlines() if "==" in line}
    missing = [name for name in ABSENT if name not in locked]
    assert "numpy" in missing
    blocked = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); import recstack_operator.main"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
