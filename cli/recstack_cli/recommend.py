"""`recommend`: one real request, through a port-forward to the stack's Service."""

import json
import urllib.error
import urllib.request
from typing import Any

from recstack_cli.errors import CliError
from recstack_cli.text import columns

SECONDS = 10.0


def ask(url: str, user: int | None, k: int, context: dict[str, Any]) -> dict[str, Any]:
    """The gateway's reply; ``context``: raw value by column of the log.

    Raises:
        CliError: it refused or cannot answer yet, in its own words.
    """
    body = json.dumps({"user_id": user, "k": k, "context": context}).encode()
    request = urllib.request.Request(
        f"{url}/v1/recommend", body, {"Content-Type": "application/json"}, method="POST"
    )
    # No proxy of the environment lies between this process and the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            reply: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise CliError(f"The gateway answered {error.code}: {_detail(error.read())}") from None
    except (OSError, ValueError) as error:
        raise CliError(f"The gateway did not answer: {error}") from None
    return reply


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def table(reply: dict[str, Any]) -> str:
    """The items for people."""
    rows = [["", "ITEM", "SCORE", "TITLE"]]
    for rank, item in enumerate(reply["items"], 1):
        rows.append([str(rank), str(item["id"]), f"{item['score']:.4f}", item.get("title") or "-"])
    note = " Degraded: what the user has seen could not be left out." if reply.get("degraded") else ""
    return f"{columns(rows)}\n\nBy version {reply['version']}.{note}"
