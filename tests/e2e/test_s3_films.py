"""Another schema, with tables and packages in S3: a missing Secret, a server that goes away, then films."""

from pathlib import Path
from typing import Any

import bucket
import film_tables
from recstack_demo import lab
from story import Story, ids, manifest, recommend

BUCKET = "films"


def test_films_in_s3(story: Story, tmp_path: Path) -> None:
    s3 = lab.s3(BUCKET)
    spec = films_spec(s3)
    client = fill(story, tmp_path, s3)
    story.stack("films", spec)
    missing_secret_is_named(story)
    bucket.secret(story, s3)
    server_goes_away(story)
    story.ready("films")
    with story.gateway("films") as gateway:
        reply = recommend(gateway, 1)
        story.tell(f"viewer 1: {', '.join(str(item['title']) for item in reply['items'][:4])}, …")
        assert len(ids(reply)) == 10
        assert all(10_001 <= film < 10_181 for film in ids(reply))
        assert all(item["title"] for item in reply["items"])
        assert ids(recommend(gateway, None)) != ids(reply)
    assert packages(client)
    story.gone("films", 180)
    assert packages(client) == []


def films_spec(s3: dict[str, str]) -> dict[str, Any]:
    """samples/films.yaml, but in S3."""
    spec: dict[str, Any] = manifest("samples/films.yaml")["spec"]
    where = {"bucket": BUCKET, "endpoint": s3["endpoint"], "secretName": "s3-keys"}
    spec["data"]["source"] = {"s3": where | {"prefix": "tables"}}
    spec["stores"] = {"artifacts": {"s3": where | {"prefix": "models"}}}
    return spec


def fill(story: Story, folder: Path, s3: dict[str, str]) -> Any:
    """Upload the tables; gives the S3 client."""
    film_tables.write(folder)
    client = bucket.client(s3)
    for file in sorted(folder.glob("*.parquet")):
        client.upload_file(str(file), BUCKET, f"tables/{file.name}")
        story.tell(f"upload tables/{file.name}, {file.stat().st_size:,} bytes")
    return client


def missing_secret_is_named(story: Story) -> None:
    def told() -> str:
        found = story.condition("rstack", "films", "StoresReady")
        return (
            str(found["message"]) if found.get("status") == "False" and "s3-keys" in found["message"] else ""
        )

    story.tell(str(story.until("the missing Secret is named", told, 60)))


def server_goes_away(story: Story) -> None:
    """Scale the S3 server to nothing while the ranker trains, so that packaging meets a dead server."""
    story.until("train-ranking runs", lambda: state(story, "train-ranking") == "Running", 300)
    story.tell("the S3 server goes away")
    story.cluster.kube("-n", "recstack-lab", "scale", "deploy/s3", "--replicas=0")
    story.until("package fails", lambda: attempts(story) >= 1, 300)
    assert not story.is_true("rstack", "films", "Ready")
    story.tell("the S3 server comes back")
    story.cluster.kube("-n", "recstack-lab", "scale", "deploy/s3", "--replicas=1")


def state(story: Story, step: str) -> str:
    """State of a step of the one version."""
    steps = [s for v in story.versions("films") for s in v.get("status", {}).get("steps", [])]
    return next((s["state"] for s in steps if s["name"] == step), "")


def attempts(story: Story) -> int:
    """Failed pods of the package step."""
    jobs = story.get("jobs", "-l", "recstack.dev/stack=films,recstack.dev/step=package")["items"]
    return max((job.get("status", {}).get("failed", 0) for job in jobs), default=0)


def packages(client: Any) -> list[str]:
    """Keys below the packages' prefix."""
    found = client.list_objects_v2(Bucket=BUCKET, Prefix="models/")
    return [item["Key"] for item in found.get("Contents", [])]
