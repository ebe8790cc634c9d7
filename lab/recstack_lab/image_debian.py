"""Debian file systems from the package sources that this machine itself uses."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recstack_lab.commands import run
from recstack_lab.config import LabError

APT = Path("/etc/apt")
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
_POCKETS = ("", "-updates", "-security")


@dataclass(frozen=True)
class Source:
    """One archive in use: its address, its suites, and the keys that sign it (empty: those apt trusts)."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def line(self, suite: str) -> str:
        """The sources.list line of this archive for one suite."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {suite} {' '.join(self.components)}"


def sources_for(suite: str, apt: Path = APT, own: str | None = None) -> list[str]:
    """The sources.list lines of a Debian release, from the machine's own archives of its own release.

    `own` is the code name of the machine's release. LabError if no archive of it is configured.
    """
    own = own or platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    lines: list[str] = []
    for source in read_sources(apt):
        if "main" not in source.components:
            continue
        for pocket in _POCKETS:
            line = source.line(suite + pocket)
            if own + pocket in source.suites and line not in lines:
                lines.append(line)
    if not lines:
        raise LabError(
            f"no Debian archive of {own or 'this release'} in {apt}: images are built from Debian packages"
        )
    return lines


def read_sources(apt: Path) -> Iterator[Source]:
    """Every enabled binary archive of sources.list and sources.list.d, in both formats."""
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".list":
            yield from _one_line(text)
        elif file.suffix == ".sources":
            yield from _stanzas(text)


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        words = line.split("#", 1)[0].replace("[", " [ ").replace("]", " ] ").split()
        if not words or words[0] != "deb":
            continue
        signed = ""
        if "[" in words:
            close = words.index("]")
            options = dict(word.split("=", 1) for word in words[2:close] if "=" in word)
            signed = options.get("signed-by", "")
            words = [words[0], *words[close + 1 :]]
        if len(words) >= 4:
            yield Source(words[1], (words[2],), tuple(words[3:]), signed)


def _stanzas(text: str) -> Iterator[Source]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in kept.split("\n\n"):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        # Signed-By may hold a whole key; only a path can be written into a one-line source.
        signed = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            yield Source(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                signed if signed.startswith("/") and " " not in signed else "",
            )


def _fields(stanza: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace() and name:
            fields[name] += " " + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def make_rootfs(suite: str, packages: Sequence[str], target: Path) -> None:
    """Write the tar of a minimal file system with these packages; needs root, about 20 s."""
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED]
    words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    run([*words, *options, suite, str(target), *sources_for(suite)])
