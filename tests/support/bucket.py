"""The lab's S3 server, as a stack and as a person use it."""

from typing import Any

import boto3
from story import Story


def client(s3: dict[str, str]) -> Any:
    """A client from this machine; ``s3`` as ``recstack_demo.lab.s3`` gives it."""
    return boto3.client(
        "s3",
        endpoint_url=s3["endpoint_here"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
    )


def secret(story: Story, s3: dict[str, str]) -> None:
    """Make the Secret ``s3-keys``."""
    keys = {"AWS_ACCESS_KEY_ID": s3["access_key"], "AWS_SECRET_ACCESS_KEY": s3["secret_key"]}
    story.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3-keys"}, "stringData": keys})
