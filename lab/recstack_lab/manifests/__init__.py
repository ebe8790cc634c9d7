"""What every lab cluster contains from the start."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from string import Template

from recstack_lab.config import CLUSTER_DOMAIN, STORAGE_PROVISIONER, Lab


def render(lab: Lab) -> str:
    """All manifests in one stream."""
    values = {
        "CLUSTER_DOMAIN": CLUSTER_DOMAIN,
        "DNS_ADDRESS": lab.dns_address,
        "STORAGE_PROVISIONER": STORAGE_PROVISIONER,
    }
    here = resources.files(__name__)
    texts = [(here / name).read_text(encoding="utf-8") for name in ("cluster.yaml", "coredns.yaml")]
    return "---\n".join(Template(text).substitute(values) for text in texts)


def s3(values: Mapping[str, str]) -> str:
    """The S3 server: NAMESPACE, PORT, REGION, ACCESS_KEY, SECRET_KEY and IMAGE fill it in."""
    return Template((resources.files(__name__) / "s3.yaml").read_text(encoding="utf-8")).substitute(values)
