"""The lab, driven through its own command line, as a person would."""

import json
import os
import subprocess
import sys

from recstack_demo.cluster import Cluster, CommandFailed, run

CLI = [sys.executable, "-m", "recstack_lab.cli"]
DEFAULT = "default"


def _shown(*arguments: str) -> None:
    """Run a lab command whose progress the caller sees.

    Raises:
        CommandFailed: when it fails.
    """
    if subprocess.run([*CLI, *arguments], check=False).returncode:
        raise CommandFailed(f"recstack-lab {' '.join(arguments)} failed; its output above says why")


def up(*, keep: bool, name: str = DEFAULT) -> Cluster:
    """A running lab with the images of this tree in it; unless ``keep``, it ends with this process."""
    _shown("up", "--name", name, *([] if keep else ["--owner", str(os.getpid())]))
    _shown("build-images", "--name", name, "--load")
    kubeconfig = run([*CLI, "kubeconfig", "--name", name]).strip()
    kubectl, helm = (run([*CLI, "tool", name]).strip() for name in ("kubectl", "helm"))
    return Cluster(kubectl=kubectl, helm=helm, kubeconfig=kubeconfig)


def s3(bucket: str) -> dict[str, str]:
    """The lab's S3 server with ``bucket`` in it: endpoint, endpoint_here (from this machine), keys."""
    return dict(json.loads(run([*CLI, "s3", "--bucket", bucket])))


def down(name: str = DEFAULT) -> None:
    """Nothing of the lab is left after this, but its caches."""
    _shown("down", "--name", name)
