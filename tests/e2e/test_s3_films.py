"""Another schema, all of it in S3, pictures and encoders too; a Secret is missing, the server goes away."""

import subprocess
from pathlib import Path
from typing import Any

import bucket
import film_tables
import merlin_python
from recstack_demo import lab
from story import Story, ids, manifest, recommend

BUCKET = "films"
DIM = {"plot": 16, "still": 12}
PICTURED = merlin_python.ROOT / "tests/support/pictured_films.py"


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
    what_was_encoded_is_told(story)
    assert packages(client)
    story.gone("films", 180)
    assert packages(client) == []


def films_spec(s3: dict[str, str]) -> dict[str, Any]:
    """samples/films.yaml, but in S3."""
    spec: dict[str, Any] = manifest("samples/films.yaml")["spec"]
    where = {"bucket": BUCKET, "endpoint": s3["endpoint"], "secretName": "s3-keys"}
    spec["data"]["source"] = {"s3": where | {"prefix": "tables"}}
    spec["stores"] = {"artifacts": {"s3": where | {"prefix": "models"}}}
    spec["features"]["embeddings"] = [
        {
            "name": name,
            "from": source,
            "encoder": {"weights": {"s3": where | {"prefix": f"encoders/{encoder}"}}},
            "dim": DIM[name],
        }
        for name, encoder, source in (
            ("plot", "minilm", {"text": {"column": "name"}}),
            ("still", "clip", {"image": {"path": "stills/{id}.png"}}),
        )
    ]
    return spec


def fill(story: Story, folder: Path, s3: dict[str, str]) -> Any:
    """Upload tables, pictures and the checkpoints of both encoders; gives the S3 client."""
    film_tables.write(folder / "tables")
    command = [merlin_python.python(), str(PICTURED), str(folder)]
    subprocess.run(command, env=merlin_python.environment(), check=True)
    client = bucket.client(s3)
    for place in ("tables", "encoders/minilm", "encoders/clip"):
        root = (folder / place).resolve()  # an encoder's may be a link to where it is installed
        files = [one for one in sorted(root.rglob("*")) if one.is_file()]
        for file in files:
            client.upload_file(str(file), BUCKET, f"{place}/{file.relative_to(root)}")
        size = sum(one.stat().st_size for one in files)
        story.tell(f"upload {place}: {len(files)} files, {size:,} bytes")
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


def what_was_encoded_is_told(story: Story) -> None:
    """Films without a picture are counted, and so is one whose picture cannot be read."""
    (version,) = story.versions("films")
    metrics = version["status"]["metrics"]
    encoded = {name: value for name, value in metrics.items() if name.startswith("embeddings.")}
    story.tell(f"encoded: {encoded}")
    assert encoded["embeddings.plot.missing"] == 0
    assert encoded["embeddings.still.missing"] == 4
    assert encoded["embeddings.still.unreadable"] == 1


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
