"""The cluster the demo works on: the lab, or a kube context that was named. Never any other."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


class CommandFailed(RuntimeError):
    """A command ended with an error; the message holds the command and what it said."""


def run(command: list[str], *, stdin: str | None = None, timeout: float = 600) -> str:
    """Run ``command`` and give its standard output; seconds ``timeout``.

    Raises:
        CommandFailed: when it ends with another status than 0 or takes too long.
    """
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """kubectl and helm, pinned to one kubeconfig and one context."""

    kubectl: str
    helm: str
    kubeconfig: str | None = None
    context: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def _where(self, context_flag: str) -> list[str]:
        flags = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        return flags + ([context_flag, self.context] if self.context else [])

    def kube(self, *arguments: str, stdin: str | None = None, timeout: float = 600) -> str:
        """``kubectl`` with ``arguments``."""
        return run([self.kubectl, *self._where("--context"), *arguments], stdin=stdin, timeout=timeout)

    def helm_run(self, *arguments: str) -> str:
        """``helm`` with ``arguments``."""
        return run([self.helm, *self._where("--kube-context"), *arguments])

    def get(self, *arguments: str) -> Any:
        """``kubectl get … -o json``, decoded; None when the object is not there."""
        try:
            return json.loads(self.kube("get", *arguments, "-o", "json"))
        except CommandFailed as error:
            if "NotFound" in str(error):
                return None
            raise

    @contextmanager
    def forward(self, namespace: str, target: str, port: int) -> Iterator[str]:
        """A loopback URL that leads to ``target`` (``svc/name``) in the cluster while the block runs."""
        with self._serving("-n", namespace, "port-forward", target, f":{port}") as url:
            yield url

    @contextmanager
    def api(self) -> Iterator[str]:
        """A loopback URL of the API server, as this cluster's user, while the block runs."""
        with self._serving("proxy", "--port=0") as url:
            yield url

    @contextmanager
    def _serving(self, *arguments: str) -> Iterator[str]:
        """``kubectl`` with ``arguments`` that make it listen; the URL that its first line names."""
        with subprocess.Popen(
            [self.kubectl, *self._where("--context"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if not found:
                    raise CommandFailed(f"kubectl {' '.join(arguments)}: {line.strip()}")
                yield f"http://127.0.0.1:{found.group(1)}"
            finally:
                process.terminate()
