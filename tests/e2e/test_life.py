"""A day of a running shop: what people do is kept, a new day makes a fine-tune, a canary goes back and on."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bucket
import film_tables
import httpx
import pyarrow.parquet as pq
from recstack_controllers.kit import names
from recstack_demo import lab
from story import Story, manifest

BUCKET = "life"
STACK = "cinema"
NEW_DAY, OTHER_DAY = "ratings_05.parquet", "ratings_06.parquet"
CALLERS, PAUSE = 3, 0.03
FORGOTTEN = 600
"""A viewer who does something once and is forgotten."""
ROLLOUT = {
    "strategy": {
        "type": "Canary",
        "canary": {"steps": [{"weight": 30, "pause": "5s"}, {"weight": 70, "pause": "5s"}]},
    },
    "soak": {"duration": "5s", "minRequests": 40, "maxErrorRate": 0.2, "clickThrough": {"maxDrop": 0.3}},
}


def test_life(story: Story, tmp_path: Path) -> None:
    s3 = lab.s3(BUCKET)
    client = bucket.client(s3)
    film_tables.write(tmp_path)
    for file in sorted(tmp_path.glob("*.parquet")):
        client.upload_file(str(file), BUCKET, f"tables/{file.name}")
    bucket.secret(story, s3)
    story.stack(STACK, cinema(s3))
    story.ready(STACK)
    parent = story.live(STACK)
    with people(story) as crowd:
        what_people_do_is_written_down(story, client, crowd, tmp_path)
        crowd.likes = lambda version: 0.6 if version == parent else 0.02
        tuned = a_new_day_makes_a_fine_tune(story, client, tmp_path, parent)
        nobody_likes_it_and_it_goes_back(story, crowd, tuned, parent)
        crowd.likes = lambda version: 0.6
        once_more_it_goes_all_the_way(story, crowd, tuned)
    judge(story, crowd, parent, tuned)
    people_come_at_another_time(story, client, tmp_path, tuned)
    story.gone(STACK, 180)


def cinema(s3: dict[str, str]) -> dict[str, Any]:
    """samples/films.yaml in S3, with a feature store, that looks for new days and goes step by step."""
    spec: dict[str, Any] = manifest("samples/films.yaml")["spec"]
    where = {"bucket": BUCKET, "endpoint": s3["endpoint"], "secretName": "s3-keys"}
    spec["data"]["source"] = {"s3": where | {"prefix": "tables"}}
    spec["stores"] = {"artifacts": {"s3": where | {"prefix": "models"}}, "feast": {}}
    spec["training"] = {"triggers": {"newData": {"every": "1m", "kind": "FineTune"}}}
    return spec | {"rollout": ROLLOUT}


@dataclass
class Crowd:
    """Viewers who ask all the time, and click on some of what they get."""

    likes: Callable[[str], float] = lambda version: 0.6
    """Share of a version's replies that are clicked."""
    answers: list[tuple[float, int, int, str]] = field(default_factory=list)
    """When, who, HTTP status, version."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, client: httpx.Client, seed: int) -> None:
        """One caller."""
        dice = random.Random(seed)
        while not self._stop.wait(PAUSE):
            viewer = dice.randint(1, FORGOTTEN - 1)
            answer = client.post("/v1/recommend", json={"user_id": viewer, "k": 5})
            version = answer.json().get("version", "")
            self.answers.append((time.monotonic(), viewer, answer.status_code, version))
            if answer.status_code == 200 and answer.json()["items"] and dice.random() < self.likes(version):
                item = dice.choice(answer.json()["items"])["id"]
                click(client, viewer, item, f"{seed}-{len(self.answers)}-{viewer}", version)

    def stop(self) -> None:
        """End all callers."""
        self._stop.set()


def click(client: httpx.Client, viewer: int, item: int, id_: str, version: str | None = None) -> None:
    """Somebody looks at an item that a version recommended."""
    event = {"event_id": id_, "user_id": viewer, "item_id": item, "type": "view"}
    event |= {"version": version} if version else {}
    assert client.post("/v1/events", json={"events": [event]}).status_code == 202


@contextmanager
def people(story: Story) -> Iterator[Crowd]:
    """They ask until the block ends."""
    crowd = Crowd()
    with story.gateway(STACK) as client:
        threads = [threading.Thread(target=crowd.run, args=(client, seed)) for seed in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield crowd
        finally:
            crowd.stop()
            for thread in threads:
                thread.join()


def what_people_do_is_written_down(story: Story, client: Any, crowd: Crowd, folder: Path) -> None:
    """Features that events changed are in the offline store, and of one who was forgotten they are not."""
    time.sleep(5)
    with story.gateway(STACK) as gateway:
        click(gateway, FORGOTTEN, 10_001, "once")
        url = f"/v1/users/{FORGOTTEN}/state"
        story.until("the viewer's taste is known", lambda: gateway.get(url).json()["behaviour_features"], 30)
        assert gateway.delete(url).status_code == 204
        began = time.monotonic()
        story.until("the viewer is forgotten", lambda: gateway.get(url).json()["offline_waiting"] == 0, 60)
        story.tell(f"offline too after {time.monotonic() - began:.1f} s")
        assert gateway.get(url).json()["behaviour_features"] == {}
    rows = written(client, folder)
    viewers = {row["viewer"] for row in rows}
    story.tell(f"{len(rows)} rows of {len(viewers)} viewers are in the offline store")
    assert len(viewers) > 20
    assert FORGOTTEN not in viewers
    assert {row["viewer"] for row in rows} <= {who for _, who, _, _ in crowd.answers}
    assert all(row["favourite_genre"] in film_tables.GENRES for row in rows)


def written(client: Any, folder: Path) -> list[dict[str, Any]]:
    """Rows of the live files of users."""
    found = client.list_objects_v2(Bucket=BUCKET, Prefix="models/offline/")["Contents"]
    keys = [one["Key"] for one in found if "/user_features/live-" in one["Key"]]
    for number, key in enumerate(keys):
        client.download_file(BUCKET, key, str(folder / f"live{number}"))
    paths = [folder / f"live{number}" for number in range(len(keys))]
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def a_new_day_makes_a_fine_tune(story: Story, client: Any, folder: Path, parent: str) -> str:
    """Seen by itself, trained from the parent on what was served; gives its name."""
    film_tables.write_day(folder / NEW_DAY, int(time.time()), seed=5)
    client.upload_file(str(folder / NEW_DAY), BUCKET, f"tables/{NEW_DAY}")
    began = time.monotonic()
    story.tell(f"upload tables/{NEW_DAY}")
    story.until("a version is made for it", lambda: len(story.versions(STACK)) == 2, 120)
    version = story.versions(STACK)[-1]
    name = str(version["metadata"]["name"])
    story.tell(f"{name}: {version['metadata']['annotations'][names.CAUSE]}")
    assert version["spec"]["kind"] == "FineTune"
    story.until("it is packaged", lambda: story.is_true("mver", name, "Packaged"), 300)
    story.tell(f"packaged {time.monotonic() - began:.0f} s after its day came")
    status = story.get("mver", name)["status"]
    assert status["parent"]["version"] == parent
    assert status["window"]["last"] == NEW_DAY
    (skew,) = status["skew"]
    story.tell(f"trained on what was served: {skew}")
    assert skew["feature"] == "favourite_genre"
    assert skew["logged"] > 0
    story.tell(story.kube("get", "mver").strip())
    return name


def nobody_likes_it_and_it_goes_back(story: Story, crowd: Crowd, tuned: str, parent: str) -> None:
    """Clicks show it, the operator takes it back, the version before answers at once."""
    canary = lambda: story.condition("rstack", STACK, "ModelReady").get("reason") == "Canary"  # noqa: E731
    story.until("it is tried with some", canary, 60)
    rolled_back = lambda: story.condition("mver", tuned, "Live").get("reason") == "RolledBack"  # noqa: E731
    story.until("it is rolled back", rolled_back, 180)
    seen = time.monotonic()
    message = story.condition("mver", tuned, "Live")["message"]
    story.tell(message)
    assert "click" in message
    assert story.condition("mver", tuned, "Stalled")["reason"] == "RolledBack"
    time.sleep(6)
    late = [version for at, _, _, version in crowd.answers if at > seen + 5]
    assert late
    assert set(late) == {parent}
    last = max(at for at, _, _, version in crowd.answers if version == tuned)
    story.tell(f"its last answer came {max(0.0, last - seen):.1f} s after that was told")
    # A version that nobody asked for stops nobody; the features of the one before may still be applied.
    story.until("the stack is Ready", lambda: story.is_true("rstack", STACK, "Ready"), 120)


def once_more_it_goes_all_the_way(story: Story, crowd: Crowd, tuned: str) -> None:
    """A person asks for another try, and people like it now."""
    patch = json.dumps({"metadata": {"annotations": {names.PROMOTE: "again"}}})
    story.tell(f"annotate {tuned}: {names.PROMOTE}=again")
    story.kube("patch", "mver", tuned, "--type=merge", "-p", patch)
    story.until("it answers everything", lambda: story.live(STACK) == tuned, 240)
    story.ready(STACK, 120)
    rollout = story.get("rstack", STACK)["status"]["rollout"]
    story.tell(f"rollout: {rollout['phase']}, {rollout['message']}")
    assert (rollout["phase"], rollout["weight"]) == ("Completed", 100)
    assert crowd.answers[-1][3] == tuned


def people_come_at_another_time(story: Story, client: Any, folder: Path, tuned: str) -> None:
    """Their hours have drifted from those of the version's training, so all is trained anew."""
    drift = {"every": "1m", "threshold": 0.2, "kind": "Full"}
    story.patch(STACK, {"training": {"triggers": {"newData": None, "drift": drift}}})
    film_tables.write_day(folder / OTHER_DAY, int(time.time()), seed=6)
    client.upload_file(str(folder / OTHER_DAY), BUCKET, f"tables/{OTHER_DAY}")
    story.tell(f"upload tables/{OTHER_DAY}")
    story.until("a version is made for it", lambda: len(story.versions(STACK)) == 3, 120)
    version = story.versions(STACK)[-1]
    notes, spec = version["metadata"]["annotations"], version["spec"]
    story.tell(f"{version['metadata']['name']}: {notes[names.CAUSE]}")
    assert (notes[names.SCHEDULE], spec["kind"]) == ("drift", "Full")
    assert spec["days"]["last"] == OTHER_DAY
    found = story.get("rstack", STACK)["status"]["check"]["found"]
    story.tell(f"against {found['against']}: {found['psi']}")
    assert found["against"] == tuned
    assert max(found["psi"]["hour_sin"], found["psi"]["hour_cos"]) > 0.2
    assert found["psi"]["decade"] < 0.2


def judge(story: Story, crowd: Crowd, parent: str, tuned: str) -> None:
    """No request failed; a person was moved to the new version once a try, and back once."""
    answers = sorted(crowd.answers)
    served = [version for _, _, _, version in answers]
    story.tell(
        f"{len(answers)} requests: {served.count(parent)} by {parent}, {served.count(tuned)} by {tuned}"
    )
    assert [one for one in answers if one[2] != 200] == []
    assert set(served) == {parent, tuned}
    tried = set()
    for viewer in {who for _, who, _, _ in answers}:
        mine = [version for _, who, _, version in answers if who == viewer]
        turns = [version for place, version in enumerate(mine) if place == 0 or mine[place - 1] != version]
        assert turns in (
            [parent], [tuned], [parent, tuned], [parent, tuned, parent], [tuned, parent],
            [parent, tuned, parent, tuned], [tuned, parent, tuned],
        ), turns  # fmt: skip
        if turns[:3] == [parent, tuned, parent]:
            tried.add(viewer)
    story.tell(f"{len(tried)} viewers were shown the new version in its first try")
    assert 0 < len(tried) < 0.85 * FORGOTTEN
