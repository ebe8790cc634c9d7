"""Text for people: aligned columns, and trees that are coloured on a terminal and plain elsewhere."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree


@dataclass
class Node:
    """One line of a tree, and those below it."""

    text: str
    style: str = ""
    below: list["Node"] = field(default_factory=list)

    def add(self, text: str, style: str = "") -> "Node":
        """Append a line below."""
        made = Node(text, style)
        self.below.append(made)
        return made


def plain(node: Node, depth: int = 0) -> list[str]:
    """Lines, two spaces a level."""
    return ["  " * depth + node.text, *(line for child in node.below for line in plain(child, depth + 1))]


def _rich(node: Node, tree: Tree | None = None) -> Tree:
    label = Text(node.text, style=node.style)
    made = Tree(label) if tree is None else tree.add(label)
    for child in node.below:
        _rich(child, made)
    return made


def print_tree(node: Node) -> None:
    """Print a tree."""
    if sys.stdout.isatty():
        Console(highlight=False).print(_rich(node))
    else:
        print("\n".join(plain(node)))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of them the head, in aligned columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_json(value: Any) -> str:
    """For programs."""
    return json.dumps(value, indent=2, ensure_ascii=False)
