"""What the lab prints: progress on standard error, results on standard output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is being done and how long it took."""
    started = time.monotonic()
    err.print(f"[dim]·[/dim] {what} …")
    yield
    took = time.monotonic() - started
    if took >= 1:
        err.print(f"[green]✓[/green] {what} [dim]{took:.1f} s[/dim]")
