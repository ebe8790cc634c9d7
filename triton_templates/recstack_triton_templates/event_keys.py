"""Where in Valkey events are, and what is made of them: names, for who writes and who reads."""

from dataclasses import dataclass

GROUP = "recstack"
"""Consumer group of the stream."""


@dataclass(frozen=True)
class EventKeys:
    """Names of a stack. ``scope``: the stack, as ``namespace/name``."""

    scope: str

    def stream(self) -> str:
        """Stream of accepted events that are not worked off yet; fields: see ``gateway``'s ``events``."""
        return f"recstack:events:{{{self.scope}}}"

    def dead(self) -> str:
        """Stream of events that cannot be worked off, each with its reason."""
        return f"recstack:dead:{{{self.scope}}}"

    def rows(self) -> str:
        """Stream of rows of the feature store that changed and are not offline yet, and of users to forget.

        Fields of a row: ``user``, ``at`` (microseconds since 1970), and of each column that has a value its
        name and Feast's bytes; of a user to forget: ``forget``.
        """
        return f"recstack:rows:{{{self.scope}}}"

    def known(self, event_id: str) -> str:
        """Mark of an event id that was accepted lately."""
        return f"recstack:event:{{{self.scope}}}:{event_id}"

    def recent(self, user_id: int) -> str:
        """Sorted set: member = item id as decimal text, score = last met, seconds since 1970."""
        return f"recstack:recent:{{{self.scope}/{user_id}}}"

    def behaviour(self, user_id: int) -> str:
        """Sorted set of what the user did lately: member = entry and values, score = seconds since 1970."""
        return f"recstack:behaviour:{{{self.scope}/{user_id}}}"


def forgotten(project: str) -> str:
    """Sorted set of rows of Feast's ``project`` whose people were forgotten in the last day.

    Member: in hex, apart by spaces, the row's key, the field of its time, and the fields that went; score:
    when, seconds since 1970. A materialization that had read them before takes them out again at its end.
    """
    return f"recstack:forgotten:{{{project}}}"
