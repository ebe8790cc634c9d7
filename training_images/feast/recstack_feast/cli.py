"""Commands in, one line of JSON out: the only place that prints and chooses an exit status."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recstack_feast.definitions import read
from recstack_feast.errors import BAD_INPUT_EXIT_CODE, BadInput

COMMANDS = ("apply", "materialize", "materialize-incremental", "delete")
TERMINATION_LIMIT = 4096
"""Kubernetes keeps no more bytes of a termination message."""
URL = "VALKEY_URL"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; argparse exits with 2 on a wrong one."""
    parser = argparse.ArgumentParser(prog="recstack_feast")
    parser.add_argument("commands", nargs="+", choices=COMMANDS, help="done in this order")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))
    return parser.parse_args(argv)


def run(commands: Sequence[str], folder: Path, url: str) -> dict[str, float]:
    """Do the commands; numbers by name. Feast is imported late: it takes seconds."""
    from recstack_feast import athena, forgotten, materialize, repository

    definitions = read(folder)
    store = repository.open_store(folder, url)
    for command in commands:
        if command == "apply":
            if definitions.athena is not None:
                athena.apply(definitions, definitions.athena, athena.client(definitions.athena))
            materialize.apply(store, repository.objects(definitions))
        elif command == "materialize":
            materialize.full(store, definitions)
            forgotten.take_out(url, store.project)
        elif command == "materialize-incremental":
            materialize.increment(store, definitions)
            forgotten.take_out(url, store.project)
        else:
            store.teardown()
            if definitions.athena is not None:
                athena.delete(definitions, definitions.athena, athena.client(definitions.athena))
    return {"views": len(definitions.views)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the commands; return the exit status (3: bad input, never retry)."""
    arguments = parse(argv)
    step = "+".join(arguments.commands)
    start = time.perf_counter()
    try:
        url = os.environ.get(URL)
        if not url:
            raise BadInput("MissingUrl", f"Set {URL} to the address of Valkey.")
        metrics = run(arguments.commands, arguments.repository, url)
    except BadInput as error:
        _report(
            {"step": step, "error": {"reason": error.reason, "message": str(error)}},
            arguments.termination_log,
        )
        return BAD_INPUT_EXIT_CODE
    seconds = round(time.perf_counter() - start, 3)
    _report({"step": step, "computeSeconds": seconds, "metrics": metrics}, arguments.termination_log)
    return 0


def _report(value: dict[str, Any], log: Path) -> None:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    print(text, flush=True)
    try:
        log.write_text(text[:TERMINATION_LIMIT])
    except OSError:
        print(f"no termination log at {log}", file=sys.stderr)
