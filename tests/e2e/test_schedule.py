"""A running stack is trained by a schedule in a time zone, put off while it is suspended, and by its age."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from recstack_controllers.kit import names
from story import SMALL, Story

STACK = "kiosk"
ZONE = "Asia/Kathmandu"
"""5:45 before UTC and no summer time: a line that were read as UTC would not be due for hours."""
SPEC = SMALL | {"training": SMALL["training"] | {"maxStaleness": "1m"}}


def test_schedule(story: Story) -> None:
    story.stack(STACK, SPEC)
    story.ready(STACK)
    (first,) = (str(one["metadata"]["name"]) for one in story.versions(STACK))
    story.until("it is stale", lambda: fresh(story).get("reason") == "Stale", 60)
    story.tell(fresh(story)["message"])
    with asked(story) as answers:
        due = a_line_for_the_next_minute(story)
        suspended_nothing_is_made(story, due)
        second = it_is_made_up_for(story, due)
        assert second != first
        story.until(f"{second} answers", lambda: answers[-1][1] == second, 300)
        story.ready(STACK, 120)
    it_is_as_old_as_its_due_time(story, first, second, due)
    assert [one for one in answers if one[0] != 200] == []
    served = [version for _, version in answers]
    moved = served.index(second)
    assert set(served[:moved]) == {first}
    assert set(served[moved:]) == {second}
    story.tell(f"{len(answers)} requests, none failed: {moved} by {first}, then {len(served) - moved}")
    it_is_trained_anew_when_stale(story, second)
    story.gone(STACK)


def fresh(story: Story) -> dict[str, Any]:
    """The condition."""
    return story.condition("rstack", STACK, "Fresh")


@contextmanager
def asked(story: Story) -> Iterator[list[tuple[int, str]]]:
    """Status and version of the requests that somebody makes until the block ends."""
    answers: list[tuple[int, str]] = []
    over = threading.Event()

    def ask(client: httpx.Client) -> None:
        while not over.wait(0.05):
            answer = client.post("/v1/recommend", json={"user_id": len(answers) % 300, "k": 5})
            answers.append((answer.status_code, answer.json().get("version", "")))

    with story.gateway(STACK) as client:
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        try:
            story.until("it is asked", lambda: answers, 15)
            yield answers
        finally:
            over.set()
            thread.join()


def a_line_for_the_next_minute(story: Story) -> datetime:
    """Gives the moment; one that is near enough to be missed is left for the minute after it."""
    due = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    there = due.astimezone(ZoneInfo(ZONE))
    schedule = {"name": "nightly", "cron": f"{there.minute} {there.hour} * * *", "timeZone": ZONE}
    story.patch(STACK, {"training": {"schedules": [schedule]}})
    story.until("it is scheduled", lambda: story.is_true("rstack", STACK, "Scheduled"), 10)
    story.tell(story.condition("rstack", STACK, "Scheduled")["message"])
    return due


def suspended_nothing_is_made(story: Story, due: datetime) -> None:
    """The time comes and goes."""
    story.patch(STACK, {"suspend": True})
    assert datetime.now(UTC) < due
    time.sleep((due - datetime.now(UTC)).total_seconds() + 5)
    assert len(story.versions(STACK)) == 1


def it_is_made_up_for(story: Story, due: datetime) -> str:
    """Once; gives the version's name."""
    story.patch(STACK, {"suspend": False})
    story.until("a version is made", lambda: len(story.versions(STACK)) == 2, 20)
    version = story.versions(STACK)[-1]
    notes = version["metadata"]["annotations"]
    story.tell(f"{version['metadata']['name']}: {notes[names.SCHEDULE]}, due {notes[names.SCHEDULED_TIME]}")
    assert version["spec"]["kind"] == "Full"
    assert notes[names.SCHEDULE] == "nightly"
    assert datetime.fromisoformat(notes[names.SCHEDULED_TIME]) == due
    return str(version["metadata"]["name"])


def it_is_as_old_as_its_due_time(story: Story, first: str, second: str, due: datetime) -> None:
    """A limit that the version before would be beyond: Fresh holds, and tells of when the new one was due."""
    made = datetime.fromisoformat(story.get("mver", first)["metadata"]["creationTimestamp"])
    limit = int((datetime.now(UTC) - made).total_seconds() // 60)
    story.patch(STACK, {"training": {"maxStaleness": f"{limit}m"}})
    story.until("it is fresh", lambda: fresh(story).get("status") == "True", 10)
    message = fresh(story)["message"]
    story.tell(message)
    assert second in message
    assert f"{due:%Y-%m-%dT%H:%M:%S}" in message


def it_is_trained_anew_when_stale(story: Story, second: str) -> None:
    """Once the limit is passed, which the version is older than by now."""
    story.patch(STACK, {"training": {"maxStaleness": "1m", "triggers": {"onStale": "Full"}}})
    story.until("a version is made", lambda: len(story.versions(STACK)) == 3, 90)
    version = story.versions(STACK)[-1]
    notes, third = version["metadata"]["annotations"], str(version["metadata"]["name"])
    story.tell(f"{third}: {notes[names.CAUSE]}")
    assert notes[names.SCHEDULE] == "onStale"
    assert second in notes[names.CAUSE]
    story.until(f"{third} answers", lambda: story.live(STACK) == third, 300)
