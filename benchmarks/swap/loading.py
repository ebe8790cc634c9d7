"""``load.py`` in a pod of the cluster, where it sees pods come and go as other pods do."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from recstack_demo.cluster import Cluster, CommandFailed

IMAGE = "localhost/recstack/serving:dev"
USERS = 40
Thing = dict[str, Any]
Until = Callable[[str, Callable[[], Any], float], Any]
"""Waits for what the text tells until the check gives something true, or raises after so many seconds."""


@contextmanager
def load(
    cluster: Cluster, namespace: str, stack: str, rate: float, until: Until
) -> Iterator[Callable[[], Thing]]:
    """Open-loop load of ``rate`` requests a second on the stack's gateways while the block runs.

    The function ends it and gives what was seen, as ``load.py`` writes it.
    """
    kube = partial(cluster.kube, "-n", namespace)
    script = (Path(__file__).parent / "load.py").read_text()
    kube("create", "configmap", "load", f"--from-literal=load.py={script}")
    pod = _pod(f"http://{stack}.{namespace}.svc:8080", rate)
    kube("apply", "-f", "-", stdin=yaml.safe_dump(pod))

    def written() -> bool:
        try:
            kube("exec", "load", "--", "test", "-e", "/tmp/load.json")
        except CommandFailed:
            return False
        return True

    def end() -> Thing:
        kube("exec", "load", "--", "touch", "/tmp/stop")
        until("the load has ended", written, 120)
        return dict(json.loads(kube("exec", "load", "--", "cat", "/tmp/load.json")))

    try:
        kube("wait", "--for=condition=Ready", "pod/load", "--timeout=60s")
        yield end
    finally:
        kube("delete", "pod/load", "configmap/load", "--grace-period=0", "--force")


def _pod(url: str, rate: float) -> Thing:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "load"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "load",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    # A pod without one comes last for CPU: what is measured would be how late it asks.
                    "resources": {"requests": {"cpu": "400m"}},
                    # It stays after its end, so that what it wrote can be fetched.
                    "command": ["sh", "-c", f"python /load/load.py {url} {rate} {USERS}; sleep 3600"],
                    "volumeMounts": [{"name": "load", "mountPath": "/load"}],
                }
            ],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}],
        },
    }
