"""Writes the field tables of ``docs/spec/<kind>.md`` from the models; the rest of a page is by hand."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from recstack_crds.v1alpha1 import (
    ModelVersionSpec,
    ModelVersionStatus,
    RecommenderStackSpec,
    RecommenderStackStatus,
)

BEGIN, END = "<!-- fields: generated, see make generate -->", "<!-- end of fields -->"
PAGES: dict[str, list[tuple[str, type[BaseModel]]]] = {
    "recommenderstack.md": [("spec", RecommenderStackSpec), ("status", RecommenderStackStatus)],
    "modelversion.md": [("spec", ModelVersionSpec), ("status", ModelVersionStatus)],
}


def models_in(annotation: object) -> list[type[BaseModel]]:
    """Models that an annotation such as ``list[Feature]`` or ``Window | None`` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def default_of(field: FieldInfo) -> str:
    """The default as JSON; empty for an object, whose own fields tell, ``required`` where there is none."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return "the retail reference's"
    return f"`{json.dumps(value)}`"


def rows(path: str, model: type[BaseModel]) -> Iterator[str]:
    """One table row a field, depth first, with its whole path."""
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        is_list = "list[" in str(field.annotation)
        here = f"{path}.{field.alias or name}{'[]' if is_list and inner else ''}"
        yield f"| `{here}` | {default_of(field)} | {field.description} |"
        for nested in inner:
            yield from rows(here, nested)


def page(text: str, kind: list[tuple[str, type[BaseModel]]]) -> str:
    """``text`` with what stands between the markers made anew.

    Raises:
        ValueError: the markers are missing.
    """
    head, marker, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not marker or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    table = ["| field | default | meaning |", "|---|---|---|"]
    for path, model in kind:
        table += rows(path, model)
    return f"{head}{BEGIN}\n\n" + "\n".join(table) + f"\n\n{END}{tail}"


def main(argv: list[str] | None = None) -> int:
    """Write the pages; with ``--check`` only say whether they are up to date (exit 1 when not)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/spec"))
    arguments = parser.parse_args(argv)
    stale = []
    for name, kind in PAGES.items():
        path = arguments.folder / name
        text = path.read_text()
        wanted = page(text, kind)
        if wanted != text:
            stale.append(str(path))
            if not arguments.check:
                path.write_text(wanted)
    if stale and arguments.check:
        print(f"out of date, run make generate: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
