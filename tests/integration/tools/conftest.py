"""A namespace a test, on the API server of all integration tests."""

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kube import Kube
from recstack_lab.binaries import binary

ROOT = Path(__file__).parents[3]
Thing = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """A namespace, kubectl bound to it, and what the operator would write, as no operator runs here."""

    kubeconfig: Path
    name: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which `kubectl` and `kubectl recstack` are found and speak to this server."""
        folders = (str(binary("kubectl").parent), str(Path(__file__).parent / "bin"), os.environ["PATH"])
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": ":".join(folders)}

    def run(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit status is the caller's to judge."""
        return subprocess.run(
            command,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace; fails the test when it does."""
        done = self.run("kubectl", "-n", self.name, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, thing: Thing) -> Thing:
        """Apply one object; gives it as stored."""
        done: Thing = json.loads(self.kubectl("apply", "-f", "-", "-o", "json", stdin=json.dumps(thing)))
        return done

    def status(self, kind: str, name: str, status: Thing) -> None:
        """Write a status."""
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def condition(
    type: str, status: str, reason: str = "Because", message: str = "", generation: int = 1
) -> Thing:
    """A condition as the operator writes it."""
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


@pytest.fixture(scope="package")
def kubeconfig(kube: Kube) -> Path:
    return kube.kubeconfig


@pytest.fixture
def space(kubeconfig: Path) -> Space:
    made = Space(kubeconfig, f"test-{uuid.uuid4().hex[:8]}")
    assert made.run("kubectl", "create", "namespace", made.name).returncode == 0
    return made
