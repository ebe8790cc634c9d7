"""What a serving pod is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recstack_triton_templates.stages.nvtabular import SOCKET

PLAN_KEY = "plan.json"
MEMORY_FILE = "memory.json"


@dataclass(frozen=True)
class Settings:
    """Defaults are those of a pod; only tests give other ports and folders.

    ``models`` is shared by both containers. ``plan_file`` is the mounted plan, read while the API
    server is away.
    """

    namespace: str
    stack: str
    valkey_url: str | None
    models: Path
    plan_file: Path
    port: int
    triton_home: Path
    triton_grpc_port: int
    triton_http_port: int
    triton_metrics_port: int
    surge: str = ""
    """Of which surge this pod is, see `Plan.surge`."""
    nvtabular: bool = False
    """Whether this pod has NVTabular, for operators that are not compiled."""

    @property
    def repository(self) -> Path:
        """Triton's model repository."""
        return self.models / "repository"

    @property
    def packages(self) -> Path:
        """Packages by digest."""
        return self.models / "packages"

    @property
    def memory_file(self) -> Path:
        """What Triton's container tells of its memory."""
        return self.models / MEMORY_FILE

    @property
    def plan_name(self) -> str:
        """ConfigMap of the serving plan."""
        return f"{self.stack}-plan"

    @property
    def scope(self) -> str:
        """The stack among all that may share a Valkey."""
        return f"{self.namespace}/{self.stack}"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of this pod.

    Raises:
        KeyError: RECSTACK_NAMESPACE or RECSTACK_STACK is not set.
    """
    return Settings(
        namespace=environment["RECSTACK_NAMESPACE"],
        stack=environment["RECSTACK_STACK"],
        valkey_url=environment.get("VALKEY_URL"),
        models=Path(environment.get("MODELS", "/models")),
        plan_file=Path(environment.get("PLAN", "/etc/recstack/plan")) / PLAN_KEY,
        port=int(environment.get("PORT", "8080")),
        triton_home=Path(environment.get("TRITON_HOME", "/opt/tritonserver")),
        triton_grpc_port=int(environment.get("TRITON_GRPC_PORT", "8001")),
        triton_http_port=int(environment.get("TRITON_HTTP_PORT", "8000")),
        triton_metrics_port=int(environment.get("TRITON_METRICS_PORT", "8002")),
        surge=environment.get("RECSTACK_SURGE", ""),
        nvtabular=bool(environment.get(SOCKET)),
    )
