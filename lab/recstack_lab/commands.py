"""Running programs, with an error that says what failed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from recstack_lab.config import LabError

_SHOWN = 2000


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program; its standard output, or LabError with the end of what it said."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=timeout
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words[:4])} … did not end in {timeout} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-_SHOWN:]
        raise LabError(f"{' '.join(words[:6])} … ended with {done.returncode}: {said}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float | None = 30) -> bool:
    """Whether a program ends with status 0."""
    try:
        run(argv, timeout=timeout)
    except LabError:
        return False
    return True
