"""The chart as helm renders it."""

import subprocess
from pathlib import Path

import yaml
from kube import ROOT, Thing
from recstack_lab.binaries import KUBERNETES_VERSION, binary

RELEASE = "recstack"


def render(folder: Path, space: str, *values: str) -> list[Thing]:
    """Objects of the chart; helm's caches go to ``folder``."""
    command = [
        str(binary("helm")), "template", RELEASE, str(ROOT / "helm/recstack"), "--namespace", space,
        "--kube-version", KUBERNETES_VERSION, *(f"--set={value}" for value in values),
    ]  # fmt: skip
    homes = {f"HELM_{one}_HOME": str(folder / one.lower()) for one in ("CACHE", "CONFIG", "DATA")}
    done = subprocess.run(command, env=homes, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of(objects: list[Thing], kind: str) -> list[Thing]:
    """Those of one kind."""
    return [one for one in objects if one["kind"] == kind]
