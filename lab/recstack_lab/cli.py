"""`recstack-lab`: a real Kubernetes node on this machine, for demo and tests."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from recstack_lab import binaries, images, lifecycle, loading, requirements
from recstack_lab.config import LabError
from recstack_lab.console import err, out, step

_BUCKET = "recstack"
_TOOLS = ("kubectl", "helm")


def _up(arguments: argparse.Namespace) -> int:
    lifecycle.up(arguments.name, arguments.gpus, arguments.owner)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    with step(f"taking the lab {arguments.name} down"):
        lifecycle.down(arguments.name)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    found = lifecycle.status(arguments.name)
    if not sys.stdout.isatty():
        print(found.as_json())
        return 1 if found.lacks else 0
    table = Table("", f"lab {found.name}", show_lines=False)
    table.add_row("state", f"[red]{found.lacks}[/red]" if found.lacks else "[green]ready[/green]")
    if found.node:
        table.add_row("kubeconfig", found.kubeconfig)
        table.add_row("server", found.server)
        table.add_row("node", f"{found.node}, {found.gpus} SIMULATED nvidia.com/gpu")
        table.add_row(
            "ends with process", str(found.owner) if found.owner else "none: run `recstack-lab down`"
        )
        table.add_row("S3", found.s3 or "not installed: run `recstack-lab s3`")
        for name, state in found.components.items():
            shown = f"running, started {state['starts']} times" if state["pid"] else "[red]not running[/red]"
            table.add_row(name, shown)
        table.add_row("images", "\n".join(found.images))
    out.print(table)
    return 1 if found.lacks else 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    lab, _ = lifecycle.required(arguments.name)
    print(lab.kubeconfig)
    return 0


def _tool(arguments: argparse.Namespace) -> int:
    print(binaries.binary(arguments.tool))
    return 0


def _s3(arguments: argparse.Namespace) -> int:
    server = lifecycle.install_s3(arguments.name, arguments.bucket or [_BUCKET])
    print(json.dumps(asdict(server), indent=2))
    return 0


def _load_image(arguments: argparse.Namespace) -> int:
    _, state = lifecycle.required(arguments.name)
    with step(f"loading {arguments.archive}"):
        for name in loading.Node(state).load_archive(arguments.archive):
            print(name)
    return 0


def _build_programs(_: argparse.Namespace) -> int:
    print(binaries.build_all())
    return 0


def _build_images(arguments: argparse.Namespace) -> int:
    requirements.require_root()
    requirements.ensure(requirements.IMAGES)
    load: Callable[[Path], None] | None = None
    if arguments.load:
        load = loading.Node(lifecycle.required(arguments.name)[1]).load
    images.build(load, arguments.only)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recstack-lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.add_argument("--name", default="default", help="which lab (default: %(default)s)")
        found.set_defaults(run=run)
        return found

    start = command("up", _up, "start the lab, or find that it runs")
    start.add_argument("--gpus", type=int, help="number of simulated nvidia.com/gpu (default: 2)")
    start.add_argument("--owner", type=int, metavar="PID", help="end the lab when this process ends")
    command("down", _down, "end the lab and leave nothing of it but its caches")
    command("status", _status, "what runs (JSON when the output is no terminal); status 1 unless ready")
    command("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    command("tool", _tool, "print the path of a program").add_argument("tool", choices=_TOOLS)
    store = command("s3", _s3, "install an S3 server in the lab; print its endpoint and keys as JSON")
    store.add_argument("--bucket", action="append", help=f"a bucket to make (repeatable; default: {_BUCKET})")
    archive = command("load-image", _load_image, "load an OCI or Docker archive into the node")
    archive.add_argument("archive", type=Path)
    command("build-programs", _build_programs, "build Kubernetes and its companions; print where they are")
    build = command("build-images", _build_images, "build what has changed of this repository's images")
    build.add_argument("--load", action="store_true", help="load them into the running lab")
    build.add_argument(
        "--only", action="append", default=[], metavar="IMAGE", help="only this one (repeatable)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 when it did what was asked."""
    arguments = _parser().parse_args(argv)
    # Like Control-C: what was begun is undone on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return int(arguments.run(arguments))
    except LabError as error:
        err.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
    except KeyboardInterrupt:
        err.print("[red]interrupted[/red]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
