"""The evaluation for people: ``report.md`` and its plots, ``report.svg``, written as XML; no time in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from recstack_crds.v1alpha1.modelversion import GateVerdict

from recstack_training.context import Context
from recstack_training.measures import Floats

SHOWN = ("requests", "recall@10", "ndcg@10", "coverage@10", "novelty@10", "auc", "calibrationError")
"""Columns of the table of slices."""
GATE_COLUMNS = ("metric", "slice", "value", "bound", "threshold", "passed", "reason")
RELATIVE = (
    "Value of a relative gate: ratio or difference to the live version, with the lower confidence bound of a "
    "paired bootstrap over requests."
)
SKEW_COLUMNS = ("feature", "events", "logged", "differs", "psi")
SKEW = (
    "Behavioural features as requests were answered with, which are trained on, against what the log gives "
    "today: share that differs, population stability index."
)
_ROW, _LEFT, _WIDE, _PLOT = 22, 200, 300, 260
_CANDIDATE, _LIVE, _AXIS = "#2563a8", "#d98026", "#666666"

BySlice = Mapping[str, Mapping[str, float | None]]


def write(
    folder: Path,
    ctx: Context,
    result: Mapping[str, Any],
    *,
    verdicts: Sequence[GateVerdict],
    reliability: Floats | None,
    live: BySlice | None,
) -> None:
    """Write both files into ``folder``; ``live``: recall@10 of the live version by slice."""
    (folder / "report.md").write_text(markdown(ctx, result, verdicts))
    (folder / "report.svg").write_bytes(svg(result["slices"], reliability, live))


def _number(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"


def _cell(text: str) -> str:
    """A value of the data must not break the table nor become markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
    return " ".join(escaped.split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def markdown(ctx: Context, result: Mapping[str, Any], verdicts: Sequence[GateVerdict]) -> str:
    """The report."""
    missed = [one for one in verdicts if not one.passed]
    lines = [f"# Evaluation of {ctx.version}", ""]
    if not verdicts:
        lines.append("No gate is declared.")
    elif missed:
        lines.append(f"**Rejected**: {len(missed)} of {len(verdicts)} gates are missed.")
    else:
        lines.append(f"**Passed**: all gates ({len(verdicts)}).")
    requests = result["served"]["requests"]
    lines += ["", f"Stack {ctx.stack}, {requests} requests, {result['heldOutEvents']} held-out events."]
    if ctx.live:
        lines.append(f"Compared with the package `{ctx.live}`.")
    if verdicts:
        rows = [
            [_cell(one.metric), _cell(one.slice), _number(one.value), _number(one.bound),
             _number(one.threshold), "yes" if one.passed else "**no**", one.reason]
            for one in verdicts
        ]  # fmt: skip
        lines += ["", "## Gates", "", RELATIVE, "", *_table(GATE_COLUMNS, rows)]
    if result.get("skew"):
        rows = [[_cell(str(one[name])) for name in SKEW_COLUMNS] for one in result["skew"]]
        lines += ["", "## Served against derived", "", SKEW, "", *_table(SKEW_COLUMNS, rows)]
    slices = [
        [_cell(name), *(_number(values.get(metric)) for metric in SHOWN)]
        for name, values in result["slices"].items()
    ]
    popular = _number(result["popularity"]["recall@10"])
    lines += ["", "## Slices", "", *_table(["slice", *SHOWN], slices), ""]
    lines += [f"Most popular items for everybody: recall@10 {popular}.", ""]
    lines += ["![recall@10 by slice, and the ranker's calibration](report.svg)", ""]
    return "\n".join(lines)


def _text(parent: ElementTree.Element, x: float, y: float, text: str, anchor: str = "start") -> None:
    node = ElementTree.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor})
    # XML has no place for control characters, and data may have them.
    node.text = "".join(letter if letter.isprintable() else "?" for letter in text)


def _bar(parent: ElementTree.Element, y: float, width: float, *, height: float, fill: str) -> None:
    ElementTree.SubElement(parent, "rect", {
        "x": str(_LEFT), "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}", "fill": fill,
    })  # fmt: skip


def svg(slices: BySlice, reliability: Floats | None, live: BySlice | None) -> bytes:
    """Left recall@10 of each slice, right mean outcome over mean probability of each bin of the ranker."""
    height = max(60 + _ROW * len(slices), _PLOT + 100)
    width = _LEFT + _WIDE + _PLOT + 180
    root = ElementTree.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "width": str(width), "height": str(height),
        "font-family": "sans-serif", "font-size": "12",
    })  # fmt: skip
    ElementTree.SubElement(root, "rect", {"width": str(width), "height": str(height), "fill": "white"})
    _text(root, 10, 20, "recall@10 by slice" + (" (orange: live version)" if live else ""))
    others = live or {}
    shown = [values.get("recall@10") for part in (slices, others) for values in part.values()]
    scale = _WIDE / (max((value for value in shown if value is not None), default=0.0) or 1.0)
    for number, (name, values) in enumerate(slices.items()):
        y = 40 + _ROW * number
        _text(root, _LEFT - 8, y + 12, name if len(name) <= 28 else name[:27] + "…", "end")
        mine, other = values.get("recall@10"), others.get(name, {}).get("recall@10")
        if mine is not None:
            _bar(root, y, mine * scale, height=9, fill=_CANDIDATE)
        if other is not None:
            _bar(root, y + 9, other * scale, height=5, fill=_LIVE)
        _text(root, _LEFT + max(mine or 0.0, other or 0.0) * scale + 6, y + 10, _number(mine))
    if reliability is not None:
        _calibration(root, reliability, _LEFT + _WIDE + 120)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _calibration(root: ElementTree.Element, table: Floats, left: float) -> None:
    top, most = 40.0, max(float(table[:, :2].max()), 1e-9)
    _text(root, left, 20, "ranker: share of positives over probability")
    ElementTree.SubElement(root, "path", {
        "d": f"M{left:.1f} {top:.1f}v{_PLOT}h{_PLOT}M{left:.1f} {top + _PLOT:.1f}l{_PLOT} -{_PLOT}",
        "stroke": _AXIS, "fill": "none",
    })  # fmt: skip
    for probability, outcome, _ in table.tolist():
        x, y = left + _PLOT * probability / most, top + _PLOT * (1 - outcome / most)
        dot = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "4", "fill": _CANDIDATE}
        ElementTree.SubElement(root, "circle", dot)
    _text(root, left, top + _PLOT + 16, "0")
    _text(root, left + _PLOT, top + _PLOT + 16, f"{most:.2g}", "end")
