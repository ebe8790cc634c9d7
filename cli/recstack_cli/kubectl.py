"""The caller's own kubectl: whatever context, proxy or login it uses, this uses too."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from recstack_controllers.kit.cluster import Kind, Manifest

from recstack_cli.errors import NOT_FOUND, CliError

PROGRAM = "kubectl"


def resource(kind: Kind) -> str:
    """A kind's name that no other API group shares."""
    group, _, _ = kind.api_version.rpartition("/")
    return f"{kind.plural}.{group}" if group else kind.plural


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the flags that say where; ``namespace`` None: the context's own."""

    flags: tuple[str, ...] = ()
    namespace: str | None = None

    def _command(self, *arguments: str) -> list[str]:
        where = ["--namespace", self.namespace] if self.namespace else []
        return [PROGRAM, *self.flags, *where, *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of ``kubectl`` with ``arguments``.

        Raises:
            CliError: it failed; the message is its own.
        """
        try:
            done = subprocess.run(
                self._command(*arguments), input=stdin, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise CliError(f"{PROGRAM} cannot be run: {error.strerror}. Is it on PATH?") from None
        if done.returncode:
            raise CliError(done.stderr.strip() or f"kubectl {arguments[0]} ended with {done.returncode}.")
        return done.stdout

    def show(self, *arguments: str) -> int:
        """Run with this process' own standard streams; gives the exit status."""
        return subprocess.run(self._command(*arguments), check=False).returncode

    def find(self, kind: Kind, name: str) -> Manifest | None:
        """One object; None when it does not exist."""
        text = self.run("get", resource(kind), name, "--ignore-not-found", "-o", "json")
        found: Manifest | None = json.loads(text) if text.strip() else None
        return found

    def get(self, kind: Kind, name: str) -> Manifest:
        """One object.

        Raises:
            CliError: it does not exist; the message names those that do.
        """
        found = self.find(kind, name)
        if found is not None:
            return found
        space = self.namespace or self._default_namespace()
        others = sorted(one["metadata"]["name"] for one in self.list(kind))
        there = (
            f"There are: {', '.join(others)}." if others else "There is none at all; look with -n elsewhere."
        )
        raise CliError(f"There is no {kind.kind} {name} in namespace {space}. {there}", NOT_FOUND)

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None) -> list[Manifest]:
        """All objects of a kind that carry ``labels``."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        text = self.run("get", resource(kind), "-o", "json", "--selector", selector)
        items: list[Manifest] = json.loads(text)["items"]
        return items

    def _default_namespace(self) -> str:
        return self.run("config", "view", "--minify", "-o", "jsonpath={..namespace}") or "default"

    @contextmanager
    def forward(self, target: str, port: int) -> Iterator[str]:
        """A loopback URL that leads to ``target`` while the block runs.

        Raises:
            CliError: no pod of it takes connections.
        """
        command = self._command("port-forward", target, f":{port}", "--address", "127.0.0.1")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found is None:
                    raise CliError(f"No way to {target}: {line.strip() or 'kubectl ended'}")
                yield f"http://127.0.0.1:{found.group(1)}"
            finally:
                process.terminate()
