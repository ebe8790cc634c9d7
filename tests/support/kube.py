"""A real API server without controllers: requests to it as administrator, and kubectl bound to it."""

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import yaml
from recstack_controllers.kit.cluster import Kind
from recstack_lab.binaries import binary

ROOT = Path(__file__).resolve().parents[2]
Thing = dict[str, Any]


class Refused(AssertionError):
    """The API server did not do it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Kube:
    """The administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.authority: str = cluster["certificate-authority-data"]
        trust = ssl.create_default_context(cadata=base64.b64decode(self.authority).decode())
        with tempfile.NamedTemporaryFile() as pair:  # ssl takes certificates from files only
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            trust.load_cert_chain(pair.name)
        self.http = httpx2.Client(base_url=self.server, verify=trust, trust_env=False, timeout=10)

    def close(self) -> None:
        self.http.close()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl; its error is the test's."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the exit status is the caller's to judge."""
        return subprocess.run(
            [str(binary("kubectl")), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | {"HOME": str(self.kubeconfig.parent)},  # its cache of the API goes there
        )

    def namespace(self, name: str) -> None:
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def get(self, kind: Kind, namespace: str, name: str) -> Thing | None:
        """One object; None: not there."""
        answer = self.http.get(path(kind, namespace, name))
        return None if answer.status_code == 404 else _content(answer)

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None) -> list[Thing]:
        """All of a kind in a namespace."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        answer = self.http.get(path(kind, namespace), params={"labelSelector": selector})
        return [
            {"apiVersion": kind.api_version, "kind": kind.kind, **one} for one in _content(answer)["items"]
        ]

    def create(self, kind: Kind, namespace: str, thing: Thing) -> Thing:
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **thing}
        return self.send("POST", path(kind, namespace), full)

    def patch(self, kind: Kind, namespace: str, name: str, patch: Thing, subresource: str = "") -> Thing:
        """Merge a patch into an object, or into its status."""
        return self.send(
            "PATCH",
            path(kind, namespace, name) + (f"/{subresource}" if subresource else ""),
            patch,
            "application/merge-patch+json",
        )

    def status(self, kind: Kind, namespace: str, name: str, status: Thing) -> Thing:
        return self.patch(kind, namespace, name, {"status": status}, "status")

    def delete(self, kind: Kind, namespace: str, name: str, policy: str = "Background") -> None:
        """Delete; one that is gone already is fine."""
        answer = self.http.delete(path(kind, namespace, name), params={"propagationPolicy": policy})
        assert answer.status_code in {200, 202, 404}, answer.text

    def send(self, method: str, path: str, content: Thing, type: str = "application/json") -> Thing:
        """One request; an error is the test's."""
        headers = {"Content-Type": type}
        return _content(self.http.request(method, path, content=json.dumps(content), headers=headers))

    def condition(self, kind: Kind, namespace: str, name: str, type: str) -> Thing:
        """One condition of an object; empty when there is none."""
        found = ((self.get(kind, namespace, name) or {}).get("status") or {}).get("conditions") or []
        return next((one for one in found if one["type"] == type), {})


def path(kind: Kind, namespace: str | None, name: str = "") -> str:
    """Where the objects of a kind are, or one of them."""
    root = f"/apis/{kind.api_version}" if "/" in kind.api_version else f"/api/{kind.api_version}"
    space = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{space}/{kind.plural}" + (f"/{name}" if name else "")


def _content(answer: httpx2.Response) -> Thing:
    if not answer.is_success:
        raise Refused(answer.status_code, f"{answer.request.method} {answer.request.url}: {answer.text}")
    found: Thing = answer.json()
    return found
