"""Gates on what was measured on the held-out days."""

from recstack_crds.v1alpha1.models import LATENCY

from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.modelversion.run import Run
from recstack_controllers.modelversion.status import missed, passed, verdicts

EMBEDDINGS = "embeddings."
"""Before the names of what the step embed counted."""


def decide(run: Run) -> None:
    """Set Evaluated from the gates; Stalled: one is missed."""
    gates = run.version.spec.recipe.evaluation.held_out_gates
    in_pods = [one for one in run.verdicts if one.metric in LATENCY]
    told = [one for one in run.verdicts if one.metric not in LATENCY]
    decided = verdicts(gates, told, run.metrics)
    run.verdicts = [*decided, *in_pods]
    gap = missed(decided)
    if gap:
        run.set("Evaluated", State.FALSE, "GateMissed", f"{gap}.")
        raise Stalled(
            "GateMissed",
            f"{gap}: it will not serve. Train it otherwise or lower the gate in the stack.",
        )
    measured = ", ".join(
        f"{name} {value:.4g}"
        for name, value in sorted(run.metrics.items())
        if not name.startswith(EMBEDDINGS)
    )
    text = f"Measured on the held-out days: {measured}.{passed(decided)}"
    run.set("Evaluated", State.TRUE, "GatesPassed", text)
