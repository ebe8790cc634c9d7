"""`kubectl recstack`: arguments in, text or JSON out, an exit status."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit import clock, names
from recstack_controllers.resources.pods import CONTAINER
from recstack_controllers.resources.steps import Step
from recstack_crds.v1alpha1.modelversion import Promote

from recstack_cli import planning, recommend, rollback, status, text, versions
from recstack_cli.errors import NOT_FOUND, USAGE, CliError
from recstack_cli.kubectl import Kubectl

EPILOG = (
    "Exit status: 0 done; 1 kubectl, the API server or the gateway refused; 2 wrong usage; 3 no such object."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    arguments = _parser().parse_args(argv)
    flags = [
        f"--{name}={value}" for name in ("kubeconfig", "context") if (value := getattr(arguments, name, None))
    ]
    command: Callable[[Kubectl, argparse.Namespace], int] = arguments.command
    try:
        return command(Kubectl(tuple(flags), getattr(arguments, "namespace", None)), arguments)
    except CliError as error:
        print(error.message, file=sys.stderr)
        return error.status


def _parser() -> argparse.ArgumentParser:
    # Flags of kubectl are understood on both sides of the command; SUPPRESS keeps one from hiding the other.
    where = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where.add_argument("-n", "--namespace", help="namespace; left out: the context's")
    where.add_argument("--context", help="kube context")
    where.add_argument("--kubeconfig", help="kubeconfig file")
    parser = argparse.ArgumentParser(
        "kubectl recstack",
        description="Look at a recommender, foretell an apply, let versions serve.",
        epilog=EPILOG,
        parents=[where],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str,
        command: Callable[[Kubectl, argparse.Namespace], int],
        help: str,
        *,
        output: bool = True,
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help, epilog=EPILOG, parents=[where])
        made.set_defaults(command=command)
        if output:
            made.add_argument("-o", "--output", choices=["json"], help="for programs")
        return made

    one = add("status", _status, "A stack's conditions, versions, steps and pods.")
    one.add_argument("stack", nargs="?", metavar="STACK", help="left out: all of the namespace")
    one = add("versions", _versions, "A stack's versions with their metrics.")
    one.add_argument("stack", metavar="STACK")
    one = add("diff", _diff, "What differs between two versions' recipes and metrics.")
    one.add_argument("before", metavar="VERSION_A")
    one.add_argument("after", metavar="VERSION_B")
    one = add("plan", _plan, "Before an apply: what will retrain, reload or restart, and why.")
    one.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="manifests; - for standard input"
    )
    one.add_argument("--server-side", action="store_true", help="as `kubectl apply --server-side` would")
    one = add("promote", _promote, "Let a version serve that waits for it.", output=False)
    one.add_argument("version", metavar="VERSION")
    one = add("rollback", _rollback, "Pin a stack to the version before, or to another.", output=False)
    one.add_argument("stack", metavar="STACK")
    one.add_argument("--to", metavar="VERSION", help="left out: the version that was live before")
    one = add("logs", _logs, "Log of a training step; left out: the newest that was begun.", output=False)
    one.add_argument("version", metavar="VERSION")
    one.add_argument("step", nargs="?", choices=list(Step), metavar="STEP", help=", ".join(Step))
    one.add_argument("-f", "--follow", action="store_true", help="until it ends")
    one = add("recommend", _recommend, "One real request, through a port-forward.")
    one.add_argument("stack", metavar="STACK")
    one.add_argument("--user", type=int, help="id; left out: anonymous")
    one.add_argument("--k", type=int, default=10, help="items wanted (10)")
    one.add_argument(
        "--set", action="append", default=[], metavar="COLUMN=VALUE", help="context of the request"
    )
    return parser


def _print(arguments: argparse.Namespace, data: Any, people: Callable[[], str]) -> int:
    print(text.as_json(data) if arguments.output == "json" else people())
    return 0


def _status(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    if arguments.stack:
        found = [kubectl.get(kinds.RECOMMENDER_STACK, arguments.stack)]
    else:
        found = kubectl.list(kinds.RECOMMENDER_STACK)
        if not found:
            raise CliError("There is no RecommenderStack here; look with -n elsewhere.", NOT_FOUND)
    data = [status.as_data(kubectl, one) for one in found]
    if arguments.output == "json":
        print(text.as_json(data[0] if arguments.stack else data))
        return 0
    for one in data:
        text.print_tree(status.tree(one))
    return 0


def _versions(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    kubectl.get(kinds.RECOMMENDER_STACK, arguments.stack)
    found = versions.of_stack(kubectl, arguments.stack)
    return _print(arguments, [versions.as_data(one) for one in found], lambda: versions.table(found))


def _diff(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    sides = [kubectl.get(kinds.MODEL_VERSION, name) for name in (arguments.before, arguments.after)]
    found = versions.compare(*sides)
    return _print(arguments, found, lambda: versions.describe(found))


def _plan(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    stdin = sys.stdin.read() if arguments.filename == "-" else ""
    found = [
        planning.foresee(kubectl, one, server_side=arguments.server_side)
        for one in planning.stacks(arguments.filename, stdin)
    ]
    return _print(arguments, found, lambda: "\n\n".join(map(planning.describe, found)))


def _promote(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    name = arguments.version
    version = kubectl.get(kinds.MODEL_VERSION, name)
    now = versions.read(version)
    if now.rolled_back is not None:
        # Another word than the one that it was rolled back under.
        word = clock.rfc3339(clock.SystemClock().now())
        kubectl.run(
            "annotate", "--overwrite", f"modelversions.{names.GROUP}", name, f"{names.PROMOTE}={word}"
        )
        print(f"{name} is tried again: it was rolled back because {now.rolled_back.message}.")
        return 0
    if version["spec"].get("promote", Promote.AUTO) == Promote.AUTO:
        print(f"{name} needs it not: its spec.promote is Auto, so it serves when its gates pass.")
        return 0
    stalled = next((one for one in now.conditions if one.type == "Stalled" and one.status == "True"), None)
    if stalled is not None:
        raise CliError(f"{name} cannot serve: {stalled.reason}: {stalled.message}")
    kubectl.run("annotate", "--overwrite", f"modelversions.{names.GROUP}", name, f"{names.PROMOTE}=true")
    done = "pods load it now" if now.package else "it serves once it is packaged and its gates pass"
    print(f"{name} may serve: {done}.")
    return 0


def _rollback(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    goal = rollback.pin(kubectl, kubectl.get(kinds.RECOMMENDER_STACK, arguments.stack), arguments.to)
    print(
        f"{arguments.stack} is pinned to {goal}: it takes over, and no other does until spec.rollout.pin is "
        "taken out. If Git or a pipeline applies this stack, put the pin there too."
    )
    return 0


def _logs(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    name = arguments.version
    steps = versions.read(kubectl.get(kinds.MODEL_VERSION, name)).steps
    begun = [step.name for step in steps if step.job]
    step = arguments.step or (begun[-1] if begun else None)
    if step is None or step not in begun:
        what = f"Step {step}" if step else "Training"
        raise CliError(f"{what} of {name} has not begun. Begun: {', '.join(begun) or 'none'}.", NOT_FOUND)
    follow = ["--follow"] if arguments.follow else []
    return min(kubectl.show("logs", f"job/{names.job(name, step)}", "-c", CONTAINER, *follow), 1)


def _recommend(kubectl: Kubectl, arguments: argparse.Namespace) -> int:
    kubectl.get(kinds.RECOMMENDER_STACK, arguments.stack)
    context = dict(_column(one) for one in arguments.set)
    with kubectl.forward(f"service/{arguments.stack}", names.GATEWAY_PORT) as url:
        reply = recommend.ask(url, arguments.user, arguments.k, context)
    return _print(arguments, reply, lambda: recommend.table(reply))


def _column(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not (name and equals):
        raise CliError(f"--set {pair}: expected COLUMN=VALUE.", USAGE)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
