"""Package index settings of this machine, handed to uv inside an image build."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from recstack_lab.commands import run, succeeds
from recstack_lab.config import LabError

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def pip_settings() -> dict[str, str]:
    """What pip's configuration files say, by option name (`index-url`, `cert`, …)."""
    if not succeeds([sys.executable, "-m", "pip", "--version"]):
        return {}
    settings: dict[str, str] = {}
    for line in run([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in {"global", "install", ":env:"} and value:
            settings[option] = str(ast.literal_eval(value))
    return settings


def uv_environment(environment: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The variables that let uv reach the same indexes as this machine's pip and uv; bundles are left out."""
    index = environment.get("PIP_INDEX_URL") or pip.get("index-url")
    extra = environment.get("PIP_EXTRA_INDEX_URL") or pip.get("extra-index-url")
    found = {
        name: value
        for name, value in environment.items()
        if name.lower() in _PROXIES or name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INSECURE_HOST"))
    }
    if index:
        found.setdefault("UV_DEFAULT_INDEX", index)
    if extra:
        found.setdefault("UV_INDEX", " ".join(extra.split()))
    # Slow mirrors: uv's own 30 s are too short for a wheel of hundreds of megabytes.
    found.setdefault("UV_HTTP_TIMEOUT", "300")
    return found


def ca_bundle(environment: Mapping[str, str], pip: Mapping[str, str]) -> Path | None:
    """The bundle of certificate authorities that this machine was told to trust, if any."""
    named = [environment.get(name) for name in _BUNDLES] + [pip.get("cert")]
    return next((Path(name) for name in named if name and Path(name).is_file()), None)


def prepare(directory: Path) -> None:
    """Fill the directory that builds mount at /run/build: uv, `env`, and a CA bundle if there is one."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.is_file():
        raise LabError("uv is not in this Python environment: run `make install`")
    pip = pip_settings()
    variables = uv_environment(os.environ, pip)
    bundle = ca_bundle(os.environ, pip)
    if bundle:
        shutil.copyfile(bundle, directory / "ca.crt")
        variables["SSL_CERT_FILE"] = "/run/build/ca.crt"
    # unchecked-hash: layers carry one fixed time stamp, so byte code must not be judged by it.
    variables |= {"UV_CACHE_DIR": "/run/uv-cache", "PYC_INVALIDATION_MODE": "UNCHECKED_HASH"}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    (directory / "env").write_text("".join(lines), encoding="utf-8")
    shutil.copy2(uv, directory / "uv")
