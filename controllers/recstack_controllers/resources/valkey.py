"""Valkey: the Secret that holds how to reach it, and the managed server."""

import base64
from dataclasses import dataclass
from urllib.parse import quote

from recstack_crds.v1alpha1.platform import DeletionPolicy, ExternalValkey, ManagedValkey

from recstack_controllers.kit import names, quantity
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import pods
from recstack_controllers.resources.stack import Stack

PASSWORD = "password"
URL = "url"
CONFIG = "valkey.conf"
DATA_SHARE = 0.75
"""Of the memory limit; the rest is for the fork that writes the append-only file."""


@dataclass(frozen=True)
class Credentials:
    """User and password; empty: none needed."""

    username: str
    password: str


def managed(stack: Stack) -> ManagedValkey | None:
    """The managed server's settings; None when it is external."""
    valkey = stack.spec.stores.valkey
    if valkey.external is not None:
        return None
    return valkey.managed or ManagedValkey()


def url(stack: Stack, credentials: Credentials) -> str:
    """URL of the server, credentials included and escaped."""
    external = stack.spec.stores.valkey.external or ExternalValkey(host=names.valkey(stack.name))
    scheme = "valkeys" if external.tls else "valkey"
    login = ""
    if credentials.password:
        login = f"{quote(credentials.username, safe='')}:{quote(credentials.password, safe='')}@"
    return f"{scheme}://{login}{external.host}:{external.port}/0"


def url_environment(stack: Stack) -> Manifest:
    """How a container learns the URL."""
    source = {"secretKeyRef": {"name": names.valkey(stack.name), "key": URL}}
    return {"name": "VALKEY_URL", "valueFrom": source}


def secret(stack: Stack, credentials: Credentials) -> Manifest:
    """Secret with the URL that gateways use, and, when managed, the server's password."""
    text = {URL: url(stack, credentials)}
    if managed(stack) is not None:
        text |= {PASSWORD: credentials.password, CONFIG: f"requirepass {credentials.password}\n"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": stack.metadata(names.valkey(stack.name), "valkey"),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in text.items()},
    }


def service(stack: Stack) -> Manifest:
    """Headless: there is one pod, and its name must resolve without a proxy between."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": stack.metadata(names.valkey(stack.name), "valkey"),
        "spec": {
            "clusterIP": "None",
            "selector": names.selector(stack.name, "valkey"),
            "ports": [{"name": "valkey", "port": names.VALKEY_PORT, "targetPort": "valkey"}],
        },
    }


def stateful_set(stack: Stack, server: ManagedValkey) -> Manifest:
    """One Valkey with an append-only file on its own volume."""
    name = names.valkey(stack.name)
    retained = "Retain" if stack.spec.deletion_policy is DeletionPolicy.RETAIN else "Delete"
    probe = {"tcpSocket": {"port": "valkey"}, "periodSeconds": 5}
    container: Manifest = {
        "name": "valkey",
        "image": stack.settings.images.valkey,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": ["valkey-server", f"/etc/valkey/{CONFIG}"],
        "args": [
            "--port", str(names.VALKEY_PORT), "--dir", "/data", "--appendonly", "yes",
            "--maxmemory", str(int(quantity.value(server.memory) * DATA_SHARE)),
            "--maxmemory-policy", "volatile-ttl",
        ],
        "ports": [{"name": "valkey", "containerPort": names.VALKEY_PORT}],
        "readinessProbe": probe,
        "livenessProbe": probe | {"initialDelaySeconds": 15, "periodSeconds": 10},
        "resources": pods.resources("50m", server.memory, 0),
        "securityContext": pods.container_security() | {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "config", "mountPath": "/etc/valkey", "readOnly": True},
        ],
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": stack.metadata(name, "valkey"),
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "selector": {"matchLabels": names.selector(stack.name, "valkey")},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": retained, "whenScaled": "Retain"},
            "template": {
                "metadata": {"labels": names.labels(stack.name, "valkey")},
                "spec": {
                    "automountServiceAccountToken": False,
                    **pods.shared(stack.settings),
                    "containers": [container],
                    "volumes": [
                        {
                            "name": "config",
                            "secret": {"secretName": name, "items": [{"key": CONFIG, "path": CONFIG}]},
                        }
                    ],
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": server.storage}},
                    },
                }
            ],
        },
    }
