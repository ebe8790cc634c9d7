"""What of the live package people may see: its items, and what a request may say."""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from recstack_triton_templates.stages.transforms import CATEGORIES, FIRST, TIME, default_value

Array = npt.NDArray[Any]
Raw = int | float | str
VALUES = 100
"""Known values of a category that are told; the first in order when there are more."""
EXAMPLES = 4


class Ids(BaseModel):
    """Ids of people or items. ``examples``: some that are known, spread over the range."""

    column: str
    count: int
    first: int | None
    last: int | None
    examples: list[int]


class ContextColumn(BaseModel):
    """A column of the log that a request's ``context`` may hold."""

    column: str
    kind: str = Field(description="category, number, or time (seconds since 1970, UTC)")
    values: list[Raw] = Field(description="Known values of a category, at most 100.")
    count: int = Field(description="How many values are known.")


class Item(BaseModel):
    """``features``: raw value by column, of those that can be told from the package."""

    id: int
    title: str | None
    features: dict[str, Raw]


class Catalog:
    """One package, read. ``folder``: the package on disk, verified before.

    Raises:
        OSError, ValueError, KeyError: no package.
    """

    def __init__(self, folder: Path) -> None:
        manifest, compiled = _json(folder / "manifest.json"), _json(folder / "transforms.json")
        columns, features = manifest["columns"], manifest["features"]
        self._titles: list[str | None] = _json(folder / "titles.json")
        lines = [_fold(title or "") for title in self._titles]
        # One text: a search that finds nothing runs through a million titles in C, not in Python.
        self._text = "\n".join(lines)
        self._starts = np.cumsum([0, *(len(line) + 1 for line in lines)])
        with (
            np.load(folder / "vocab.npz", allow_pickle=False) as vocabularies,
            np.load(folder / "items.npz", allow_pickle=False) as table,
            np.load(folder / "users.npz", allow_pickle=False) as users,
        ):
            self._ids: Array = table["__id__"]
            raw = {compiled[name]["column"]: (compiled[name], table[name]) for name in features["item"]}
            raw.pop(columns["item"], None)
            self._raw = {column: Decoder(*pair, vocabularies) for column, pair in raw.items()}
            self.context = [
                _context(column, [compiled[n] for n in features["context"]], columns, vocabularies)
                for column in dict.fromkeys(compiled[n]["column"] for n in features["context"])
            ]
            self.users = _ids(columns["user"], users["__id__"])
        self.items = _ids(columns["item"], self._ids)

    def find(self, query: str, after: int | None, limit: int) -> tuple[list[Item], bool]:
        """Items by rising id, and whether there are more.

        Args:
            query: words that the title holds, accents and case aside, or the id; empty: all.
            after: only greater ids.
            limit: at most so many.
        """
        start = 0 if after is None else int(np.searchsorted(self._ids, after, side="right"))
        rows = self._matches(_fold(query).split(), self._row_of(query), start)
        found = list(islice(rows, limit + 1))
        return [self._item(row) for row in found[:limit]], len(found) > limit

    def _row_of(self, text: str) -> int | None:
        """Row of an id that was typed."""
        try:
            id_ = int(text)
            row = int(np.searchsorted(self._ids, id_))
        except (ValueError, OverflowError):
            return None
        return row if row < len(self._ids) and self._ids[row] == id_ else None

    def _matches(self, words: Sequence[str], also: int | None, row: int) -> Iterator[int]:
        """Rows from ``row`` on whose title holds all ``words``, and ``also``, rising."""
        if not words:
            yield from range(row, len(self._ids))
            return
        rarest = max(words, key=len)
        while row < len(self._ids):
            place = self._text.find(rarest, int(self._starts[row]))
            match = len(self._ids) if place < 0 else int(np.searchsorted(self._starts, place, "right")) - 1
            if also is not None and row <= also < match:
                yield also
            if match == len(self._ids):
                return
            line = self._text[int(self._starts[match]) : int(self._starts[match + 1])]
            if match == also or all(word in line for word in words):
                yield match
            row = match + 1

    def get(self, ids: Sequence[int]) -> list[Item]:
        """The items of ``ids``, in their order; those that there are not are left out."""
        if len(self._ids) == 0:
            return []
        rows = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return [self._item(row) for row, id_ in zip(rows.tolist(), ids, strict=True) if self._ids[row] == id_]

    def _item(self, row: int) -> Item:
        features = {column: decode(row) for column, decode in self._raw.items()}
        known = {column: value for column, value in features.items() if value is not None}
        return Item(id=int(self._ids[row]), title=self._titles[row], features=known)


class Decoder:
    """Encoded values of a feature to the raw ones; None where they cannot be told.

    A null took the feature's default when the package was made: what equals the default is not told.
    """

    def __init__(
        self, transform: Mapping[str, Any], encoded: Array, vocabularies: Mapping[str, Array]
    ) -> None:
        self._encoded, self._ops = encoded, transform["ops"]
        self._words: dict[int, Raw] = {}
        self._default: float | None = None
        names = {op["op"] for op in self._ops}
        if names == {"Categorify"}:
            values, codes = vocabularies[self._ops[0]["vocab"]], vocabularies[self._ops[0]["codes"]]
            pairs = zip(codes.tolist(), values.tolist(), strict=True)
            self._words = {code: value for code, value in pairs if code >= FIRST}
        elif names <= {"Normalize", "LogOp"}:
            self._default = float(default_value(transform, vocabularies))

    def __call__(self, row: int) -> Raw | None:
        """Raw value in a row."""
        value = self._encoded[row].item()
        if self._default is None:
            return self._words.get(value)
        if value == self._default:
            return None
        for op in reversed(self._ops):
            value = value * (op["std"] or 1) + op["mean"] if op["op"] == "Normalize" else np.expm1(value)
        # float32 holds seven digits; the sixth is the last that survives the way there and back.
        number = float(f"{value:.6g}")
        return number if np.isfinite(number) else None


def _context(
    column: str,
    transforms: list[dict[str, Any]],
    columns: Mapping[str, str],
    vocabularies: Mapping[str, Array],
) -> ContextColumn:
    first = [one["ops"][0] for one in transforms if one["column"] == column]
    if column == columns["timestamp"] or any(op["op"] in TIME for op in first):
        return ContextColumn(column=column, kind="time", values=[], count=0)
    category = next((op for op in first if op["op"] == "Categorify"), None)
    if category is None:
        if any(op["op"] in CATEGORIES for op in first):  # a hash has no list of values
            return ContextColumn(column=column, kind="category", values=[], count=0)
        return ContextColumn(column=column, kind="number", values=[], count=0)
    values = vocabularies[category["vocab"]]
    return ContextColumn(column=column, kind="category", values=values[:VALUES].tolist(), count=len(values))


def _ids(column: str, ids: Array) -> Ids:
    if len(ids) == 0:
        return Ids(column=column, count=0, first=None, last=None, examples=[])
    places = np.unique(np.linspace(0, len(ids) - 1, EXAMPLES + 2).astype(int)[1:-1])
    first, last = int(ids[0]), int(ids[-1])
    return Ids(column=column, count=len(ids), first=first, last=last, examples=ids[places].tolist())


def _fold(text: str) -> str:
    """Without case and accents, on one line."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(part for part in parts if not unicodedata.combining(part)).split())


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())
