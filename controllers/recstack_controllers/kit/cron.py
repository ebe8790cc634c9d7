"""Times of a crontab(5) line in a time zone; pure.

Where clocks are put forward, a time that is left out is due right after the gap; where they are put back, a
time that comes twice is due once, and what is due at every hour or minute keeps its distance in real time.
So does Debian's cron.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_RUN_UP = timedelta(hours=3)
"""A walk begins this much before what is asked: begun within an hour that comes twice, it would take the
second for the first."""
_FIRST_LOOK = timedelta(hours=1)


@dataclass(frozen=True)
class Cron:
    """One line; all times that it gives are UTC."""

    line: str
    zone: ZoneInfo

    def __str__(self) -> str:
        return f"{self.line} {self.zone.key}"

    def after(self, moment: datetime) -> datetime | None:
        """The first time after ``moment``; None: there is none in the next 50 years."""
        return next(self._after(moment), None)

    def latest(self, first: datetime, until: datetime) -> datetime:
        """The last time up to ``until``; ``first``: one that is due and not later."""
        look = _FIRST_LOOK
        while True:
            start = max(first, until - look)
            found = first
            for due in self._after(start):
                if due > until:
                    break
                found = due
            if found > start or start == first:
                return found
            look *= 8

    def _after(self, moment: datetime) -> Iterator[datetime]:
        walk = CronSim(self.line, (moment - _RUN_UP).astimezone(self.zone))
        return (due for one in walk if (due := one.astimezone(UTC)) > moment)


def parse(line: str, zone: str) -> Cron:
    """A line and a time zone's name.

    Raises:
        ValueError: either is none.
    """
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {zone}: name one of the IANA database") from None
    try:
        CronSim(line, datetime(2000, 1, 1, tzinfo=found))
    except CronSimError as error:
        raise ValueError(f"cron {line!r} is none: {error}".replace("is none: Bad", "has a bad")) from None
    return Cron(line, found)
