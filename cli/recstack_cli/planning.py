"""`plan -f`: asks the API server what an apply would store, then the pure `plan` what follows."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.recommenderstack import versions as choice
from recstack_controllers.resources.configmaps import read_plan
from recstack_controllers.resources.stack import read_stack
from recstack_crds.v1alpha1.base import API_VERSION

from recstack_cli import plan
from recstack_cli.changes import show
from recstack_cli.errors import USAGE, CliError
from recstack_cli.kubectl import Kubectl
from recstack_cli.plan import Consequence, Effect


def stacks(path: str, stdin: str) -> list[Manifest]:
    """RecommenderStacks in a file; ``-``: in ``stdin``.

    Raises:
        CliError: it cannot be read, is not YAML, or has none.
    """
    try:
        text = stdin if path == "-" else Path(path).read_text()
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", USAGE) from None
    except yaml.YAMLError as error:
        raise CliError(f"{path} is not YAML: {error}", USAGE) from None
    parts = [part for one in documents for part in (one["items"] if one.get("kind") == "List" else [one])]
    found = [
        one
        for one in parts
        if (one.get("apiVersion"), one.get("kind")) == (API_VERSION, kinds.RECOMMENDER_STACK.kind)
    ]
    if not found:
        raise CliError(f"There is no RecommenderStack of {API_VERSION} in {path}.", USAGE)
    return found


def foresee(kubectl: Kubectl, wanted: Manifest, *, server_side: bool) -> dict[str, Any]:
    """What applying one stack would change, for programs.

    Raises:
        CliError: the API server would refuse it.
    """
    how = ("--server-side",) if server_side else ()
    arguments = ("apply", *how, "--dry-run=server", "-f", "-", "-o", "json")
    stored: Manifest = json.loads(kubectl.run(*arguments, stdin=json.dumps(wanted)))
    there = Kubectl(kubectl.flags, stored["metadata"]["namespace"])
    name = stored["metadata"]["name"]
    live = there.find(kinds.RECOMMENDER_STACK, name)
    result: dict[str, Any] = {
        "name": name,
        "namespace": there.namespace,
        "action": "create" if live is None else "change",
    }
    try:
        after = read_stack(stored | {"metadata": stored["metadata"] | {"uid": "same"}}, plan.SETTINGS)
        if live is None:
            return result | {"fields": [], "consequences": _data(plan.creation(after))}
        before = read_stack(live | {"metadata": live["metadata"] | {"uid": "same"}}, plan.SETTINGS)
    except Stalled as stalled:
        raise CliError(f"{name}: {stalled.action}") from None
    now = plan.Situation(
        choice.read(there.list(kinds.MODEL_VERSION), name),
        read_plan(there.find(kinds.CONFIG_MAP, names.plan(name)))[0],
    )
    fields = [
        {
            "path": f"spec.{change.path}",
            "before": change.before,
            "after": change.after,
            "consequences": _data(found),
        }
        for change, found in plan.by_field(before, after, now)
    ]
    if not fields:
        return result | {"action": "none", "fields": [], "consequences": []}
    return result | {"fields": fields, "consequences": _data(plan.consequences(before, after, now))}


def _data(found: Sequence[Consequence]) -> list[dict[str, str]]:
    return [asdict(one) for one in found]


def describe(found: dict[str, Any]) -> str:
    """``foresee``'s answer for people."""
    who = f"RecommenderStack {found['namespace']}/{found['name']}"
    if found["action"] == "none":
        return f"{who}: nothing changes."
    if found["action"] == "create":
        return "\n".join([f"{who} is made:", *_lines(found["consequences"], "  ")])
    lines = [f"{who} changes:"]
    for field in found["fields"]:
        lines.append(f"  {field['path']}: {show(field['before'])} -> {show(field['after'])}")
        lines += _lines(field["consequences"], "    ")
    effects = {one["effect"] for one in found["consequences"]}
    return "\n".join([*lines, f"All in all: {', '.join(one for one in Effect if one in effects)}."])


def _lines(consequences: Sequence[dict[str, str]], indent: str) -> list[str]:
    width = max(len(one) for one in Effect)
    return [f"{indent}{one['effect']:<{width}}  {one['why']}" for one in consequences]
