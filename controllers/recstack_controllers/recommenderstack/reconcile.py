"""Bring one RecommenderStack to its spec: stores, access, plan, pods, version, and one status write."""

import base64
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from recstack_crds.v1alpha1 import RecommenderStackStatus
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.platform import GpuRuntime
from recstack_crds.v1alpha1.recommenderstack import FeastStatus
from recstack_triton_templates import feast_names
from recstack_triton_templates.render import ServingSettings, render

from recstack_controllers import kinds, latency, proof
from recstack_controllers.kit import decode, names, ownership
from recstack_controllers.kit import status as statuses
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, ClusterError, EventType, Kind, Manifest
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.kit.errors import Stalled, Waiting
from recstack_controllers.modelversion import results
from recstack_controllers.proof import Proof, Verdict
from recstack_controllers.recommenderstack import (
    deletion,
    features,
    pruning,
    schedules,
    secrets,
    status,
    surge,
    triggers,
    versions,
)
from recstack_controllers.recommenderstack import progress as progressing
from recstack_controllers.recommenderstack.observe import Observed, all_ready, observe
from recstack_controllers.recommenderstack.rollout import advance
from recstack_controllers.recommenderstack.strategy import Look
from recstack_controllers.resources import (
    access,
    autoscaler,
    check,
    claims,
    configmaps,
    disruption,
    events,
    modelversion,
    network,
    prune,
    serving,
    valkey,
)
from recstack_controllers.resources import feast as feast_builders
from recstack_controllers.resources.configmaps import Phase, PlannedVersion
from recstack_controllers.resources.stack import Stack, read_stack, read_version
from recstack_controllers.settings import Outcome, Settings

POLL = 2.0
"""Seconds between looks while pods load or drain: what they say of it is no event of the API server."""
REFUSED_RETRY = 30.0
RESYNC = 120.0
"""Seconds between looks at a stack that rests: Secrets are not watched, and theirs may have changed."""
REPLICAS_MANAGER = "recstack-replicas"
"""Holds the number of pods between our applying it and the autoscaler's first say."""


async def reconcile(cluster: Cluster, clock: Clock, settings: Settings, namespace: str, name: str) -> Outcome:
    """One pass; safe to repeat and to cut off anywhere.

    Raises:
        ClusterError: the API server failed; try again. 409: the object changed meanwhile, also try again.
    """
    live = await cluster.get(kinds.RECOMMENDER_STACK, namespace, name)
    if live is None:
        return Outcome(None)
    run = _Run(cluster, clock, settings, live)
    try:
        outcome = await run.forward()
        run.conclude()
    except Waiting as waiting:
        run.fail(waiting.reason, waiting.message, stalled=False)
        outcome = Outcome(waiting.retry_after)
    except Stalled as stalled:
        run.fail(stalled.reason, stalled.action, stalled=True)
        outcome = Outcome(None)
    except ClusterError as error:
        if error.transient:
            raise
        run.fail("ApiRefused", f"The API server refused: {error}.", stalled=False)
        outcome = Outcome(REFUSED_RETRY)
    await run.record()
    return outcome


class _Run:
    """One pass over one stack; events are sent after the status they tell of is written."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings, live: Manifest) -> None:
        metadata = live["metadata"]
        self._cluster, self._settings, self._live = cluster, settings, live
        self._namespace, self._name = metadata["namespace"], metadata["name"]
        self._before = before = decode.status(RecommenderStackStatus, live)
        self._now = clock.now()
        self._conditions = Conditions(before.conditions, metadata["generation"], self._now)
        self._fields: dict[str, Any] = before.model_dump(
            exclude={"conditions", "phase", "observed_generation"}
        )
        self._fields |= {"rollout": before.rollout, "rolled_back": before.rolled_back}
        self._events: list[tuple[EventType, str, str]] = []
        self._was = {type: self._conditions.is_true(type) for type in ("Ready", "Stalled")}
        self._stalled: str | None = None
        self._wake: list[datetime] = []
        self._stage = ""
        self._online = False

    async def forward(self) -> Outcome:
        """The steps, in order. Each raises Waiting or Stalled when the next cannot follow."""
        stack = read_stack(self._live, self._settings)
        if self._live["metadata"].get("deletionTimestamp"):
            self._live = await deletion.proceed(self._cluster, stack, self._live)
            return Outcome(None)
        self._live = await deletion.guard(self._cluster, stack, self._live)
        seen = await observe(self._cluster, stack)
        self._tell_children(stack, seen)
        self._stage = "StoresReady"
        credentials = await self._stores(stack, seen)
        self._stage = ""
        await self._access(stack)
        await self._features(stack, seen)
        plan, found = await self._plan(stack, seen)
        await self._pods(stack, seen, plan, credentials)
        await self._worker(stack, seen, credentials)
        self._tell_model(stack, seen, plan, found)
        self._stage = "ModelReady"
        await self._version(stack, seen)
        self._stage = ""
        busy = await self._schedules(stack, seen, plan)
        self._fresh(stack, seen, plan)
        await self._look(stack, seen, plan)
        await self._triggers(stack, seen, plan, busy)
        await self._tidy(stack, seen, plan)
        due = [(moment - self._now).total_seconds() for moment in self._wake]
        return Outcome(min(POLL if plan.moving else RESYNC, *due, RESYNC))

    # Steps

    async def _stores(self, stack: Stack, seen: Observed) -> str:
        """Claims and Valkey; gives the resourceVersion of Valkey's credentials."""
        await secrets.require_s3(
            self._cluster, self._namespace, stack.artifacts_s3, "spec.stores.artifacts.s3"
        )
        await self._apply(kinds.CLAIM, claims.work(stack))
        packages = claims.artifacts(stack)
        if packages is not None:
            await self._apply(kinds.CLAIM, packages)
        credentials = await self._credentials(stack)
        secret = await self._apply(kinds.SECRET, valkey.secret(stack, credentials))
        server = valkey.managed(stack)
        if server is not None:
            await self._apply(kinds.SERVICE, valkey.service(stack))
            await self._apply(kinds.NETWORK_POLICY, network.valkey(stack))
            made = await self._apply(kinds.STATEFUL_SET, valkey.stateful_set(stack, server))
            self._conditions.set("StoresReady", *status.stores(made, managed=True))
        else:
            for kind in (kinds.STATEFUL_SET, kinds.SERVICE, kinds.NETWORK_POLICY):
                await self._remove(stack, kind, names.valkey(self._name))
            self._conditions.set("StoresReady", *status.stores(None, managed=False))
        return str(secret["metadata"]["resourceVersion"])

    async def _credentials(self, stack: Stack) -> valkey.Credentials:
        external = stack.spec.stores.valkey.external
        if external is not None:
            if not external.secret_name:
                return valkey.Credentials("", "")
            found = await secrets.require(
                self._cluster,
                self._namespace,
                external.secret_name,
                secrets.LOGIN_KEYS,
                "spec.stores.valkey.external.secretName",
            )
            return valkey.Credentials(*(_decoded(found["data"], key) for key in secrets.LOGIN_KEYS))
        own = await self._cluster.get(kinds.SECRET, self._namespace, names.valkey(self._name))
        data = (own or {}).get("data") or {}
        password = (
            _decoded(data, valkey.PASSWORD) if valkey.PASSWORD in data else randomness.token_urlsafe(24)
        )
        return valkey.Credentials("default", password)

    async def _access(self, stack: Stack) -> None:
        """Who the serving pods are, and who may connect to what."""
        await self._apply(kinds.SERVICE_ACCOUNT, access.service_account(stack))
        await self._apply(kinds.ROLE, access.role(stack))
        await self._apply(kinds.ROLE_BINDING, access.role_binding(stack))
        await self._apply(kinds.NETWORK_POLICY, network.serving(stack))
        await self._apply(kinds.NETWORK_POLICY, network.training(stack))

    async def _plan(self, stack: Stack, seen: Observed) -> tuple[configmaps.Plan, Proof | None]:
        """The serving plan, one step further; gives it and the pods' judgement on a candidate."""
        plan = seen.plan
        repositories = {one.name: await self._repository(stack, one.name) for one in plan.versions}
        plan = replace(
            plan, versions=tuple(replace(one, repo=repositories[one.name]) for one in plan.versions)
        )
        judgement: Proof | None = None
        # A pin is a person's word for this one version, so it goes before the general one.
        frozen = stack.spec.suspend and stack.spec.rollout.pin is None
        told, figures = "", progressing.NONE
        if not frozen or plan.drain or plan.rollout is not None:
            goal = None if self._without_features(stack, seen) else versions.target(seen.known, stack)
            # While frozen nothing new: a candidate stays one, and what drains may end.
            target = plan.candidate if frozen else await self._planned(stack, goal)
            moves = plan.moving or (target is not None and target.name != plan.live)
            reports = await proof.observe(self._cluster, self._namespace, self._name) if moves else []
            held = {name for name in plan.drain if proof.held(reports, name)}
            if target is not None and target.name != plan.live:
                judgement = proof.judge(reports, target.name, target.digest)
            name = target.name if target is not None else plan.live
            measured = latency.slowest(reports, target.name) if target is not None else None
            gates = self._pod_gates(seen, target)
            unfit = latency.sentence(latency.judge(gates, measured)) if measured is not None else ""
            proven = judgement is not None and judgement.verdict is Verdict.PROVEN
            look = Look(
                target=target,
                proven=proven and (measured is not None or not gates),
                unfit=unfit,
                latency=measured,
                at_once=stack.spec.rollout.pin is not None and stack.spec.rollout.pin == name,
                frozen=frozen,
                promoted=next((one.promoted for one in seen.known if one.name == name), ""),
                measured=progressing.counted(reports, plan.rollout),
                now=self._now,
            )
            figures = progressing.both(look, plan.rollout)
            plan, told = advance(plan, look, held, stack.spec.rollout)
            plan, judgement = surge.proceed(
                seen.plan, plan, judgement, stack.spec.rollout, seen.generation + 1
            )
        await self._write_plan(stack, seen, plan)
        self._tell_rollout(stack, seen, plan, told, figures)
        if plan.live != seen.plan.live and plan.live is not None:
            judgement = None
            self.tell("Normal", "Live", f"Version {plan.live} answers from now on.")
        return plan, judgement

    def _without_features(self, stack: Stack, seen: Observed) -> bool:
        """Whether nobody was answered yet and the feature store is empty: it would know nobody."""
        feast = self._fields["feast"]
        empty = feast is None or not feast.applied_digest
        return stack.spec.stores.feast is not None and seen.plan.live is None and empty

    @staticmethod
    def _pod_gates(seen: Observed, target: PlannedVersion | None) -> Sequence[Gate]:
        """Gates on the latency of a candidate that answers nobody yet.

        Once it does, what it did for people counts: a pod that comes then may measure on a busy machine.
        """
        progress = seen.plan.rollout
        if target is None:
            return ()
        if progress is not None and progress.version == target.name and progress.phase is not Phase.LOADING:
            return ()
        return next((one.pod_gates for one in seen.known if one.name == target.name), ())

    def _tell_rollout(
        self, stack: Stack, seen: Observed, plan: configmaps.Plan, told: str, figures: progressing.Both
    ) -> None:
        """Status and events of a rollout, from the plan."""
        self._fields["rollout"] = progressing.status(
            self._before.rollout, plan, stack.spec.rollout, told=told, figures=figures, now=self._now
        )
        self._fields["rolled_back"] = list(plan.rolled_back)
        for text in progressing.news(seen.plan, plan, stack.spec.rollout):
            self.tell("Normal", "Rollout", text)
        for one in plan.rolled_back:
            if one not in seen.plan.rolled_back:
                self.tell("Warning", names.ROLLED_BACK, status.taken_back(one))

    async def _planned(self, stack: Stack, goal: versions.Known | None) -> PlannedVersion | None:
        if goal is None or goal.package is None:
            return None
        repo = await self._repository(stack, goal.name)
        return PlannedVersion(goal.name, goal.package, repo, stack.artifacts_uri)

    async def _repository(self, stack: Stack, version: str) -> str:
        files = render(version, serving_settings(stack, online=self._online))
        made = await self._apply(kinds.CONFIG_MAP, configmaps.repository(stack, version, files))
        return str(made["metadata"]["name"])

    async def _write_plan(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
        same = configmaps.plan(stack, plan, seen.generation)
        if seen.plan_object is not None and same["data"] == seen.plan_object.get("data"):
            await self._apply(kinds.CONFIG_MAP, same)  # labels and owner may still differ
        else:
            await self._apply(kinds.CONFIG_MAP, configmaps.plan(stack, plan, seen.generation + 1))

    async def _pods(self, stack: Stack, seen: Observed, plan: configmaps.Plan, credentials: str) -> None:
        """Deployment and what goes with it; never the number of pods while an autoscaler owns it."""
        wanted = stack.spec.autoscaling
        if wanted is not None:
            await self._leave_replicas(seen.deployment)
            scaler = await self._apply(kinds.AUTOSCALER, autoscaler.autoscaler(stack, wanted))
            self._conditions.set("AutoscalingReady", *status.autoscaling(scaler))
        else:
            await self._remove(stack, kinds.AUTOSCALER, names.gateway(self._name))
            self._conditions.remove("AutoscalingReady")
        begun = plan.surge or surge.started(seen.deployment)
        made = await self._apply(
            kinds.DEPLOYMENT, serving.deployment(stack, credentials, online=self._online, surge=begun)
        )
        await self._apply(kinds.SERVICE, serving.service(stack))
        await self._apply(kinds.DISRUPTION_BUDGET, disruption.budget(stack))
        self._tell_pods(seen, made)
        self._fields["endpoint"] = serving.endpoint(stack)

    async def _worker(self, stack: Stack, seen: Observed, credentials: str) -> None:
        """What works off events, when somebody shall."""
        name = names.events(self._name)
        if not stack.spec.events.enabled:
            # Its identity stays and goes with the stack: the operator may delete no roles.
            for kind in (kinds.DEPLOYMENT, kinds.NETWORK_POLICY):
                await self._remove(stack, kind, name)
            self._conditions.remove("EventsReady")
            return
        await self._apply(kinds.SERVICE_ACCOUNT, access.service_account(stack, events.COMPONENT))
        await self._apply(kinds.ROLE, access.role(stack, events.COMPONENT))
        await self._apply(kinds.ROLE_BINDING, access.role_binding(stack, events.COMPONENT))
        await self._apply(kinds.NETWORK_POLICY, network.events(stack))
        made = await self._apply(kinds.DEPLOYMENT, events.deployment(stack, credentials))
        self._conditions.set("EventsReady", *status.events(made, seen.worker_pods))

    async def _leave_replicas(self, deployment: Manifest | None) -> None:
        """Give the number of pods away before it is applied no more.

        A field that its only owner stops applying falls back to its default, which would be one pod.
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
        """
        if deployment is None or not ownership.holds(deployment, "spec", "replicas"):
            return
        metadata = {key: deployment["metadata"][key] for key in ("name", "namespace")}
        replicas = {"replicas": deployment["spec"]["replicas"]}
        await self._cluster.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": replicas},
            REPLICAS_MANAGER,
        )

    async def _features(self, stack: Stack, seen: Observed) -> None:
        """The feature store, when one is declared; what it holds stays when it no longer is."""
        feast = stack.spec.stores.feast
        if feast is None:
            for kind in (kinds.CRON_JOB, kinds.NETWORK_POLICY):
                await self._remove(stack, kind, names.feast(self._name))
            self._conditions.remove("FeaturesReady")
            self._fields["feast"] = None
            return
        before = self._before.feast or FeastStatus()
        found = await features.proceed(self._cluster, stack, feast, seen.known, before)
        if found.status.applied_digest != before.applied_digest:
            self.tell("Normal", "FeaturesApplied", found.fact[2])
        self._conditions.set("FeaturesReady", *found.fact)
        self._fields["feast"] = found.status
        # Pods read the settings when they start: those of a stack that serves already are replaced once its
        # features are online, and until then know the package's users. A new stack waits for its features.
        self._online = bool(found.status.applied_digest) or seen.plan.live is None
        if found.stalled:
            self._stalled = self._stalled or "FeaturesReady"

    async def _version(self, stack: Stack, seen: Observed) -> None:
        """The recipe's ModelVersion, made once: what exists is immutable, a scheduled run will do."""
        name = modelversion.name(stack)
        if stack.spec.suspend or versions.of_recipe(seen.known, stack):
            return
        source = stack.spec.data.source.s3
        await secrets.require_s3(self._cluster, self._namespace, source, "spec.data.source.s3")
        for one in stack.spec.features.embeddings:
            field = f"spec.features.embeddings {one.name}: encoder.weights.s3"
            await secrets.require_s3(self._cluster, self._namespace, one.encoder.weights.s3, field)
        if await self._cluster.get(kinds.MODEL_VERSION, self._namespace, name) is not None:
            raise Waiting("Training", f"Version {name} is being deleted; it is made anew after that.", POLL)
        await self._apply(kinds.MODEL_VERSION, modelversion.model_version(stack))
        self.tell("Normal", "VersionCreated", f"Version {name} will be trained.")

    async def _schedules(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> str | None:
        """Versions of the runs that are due; gives the one that is trained, or about to be."""
        found = schedules.decide(stack, self._before.schedules, seen.known, plan.live, self._now)
        for run in found.runs:
            made = modelversion.model_version(stack, run.origin, run.parent)
            text = f"Version {made['metadata']['name']} is trained for schedule {run.origin.schedule}."
            await self._apply(kinds.MODEL_VERSION, made)
            self.tell("Normal", "VersionCreated", text)
        for text in found.missed:
            self.tell("Warning", "ScheduleMissed", text)
        self._fields["schedules"] = found.status
        self._set_or_remove("Scheduled", found.fact)
        if found.fact is not None and found.fact[1] == schedules.INVALID:
            self._stalled = self._stalled or "Scheduled"
        self._wake += [found.wake] if found.wake else []
        return found.busy

    async def _look(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
        """The Job that looks at the data for triggers, and what it found."""
        before, live = self._before.check, self._live_of_recipe(stack, seen, plan)
        job = await self._check_report(stack, before.job) if before and before.job else None
        found = triggers.look(stack, before, job, live, self._now)
        if found.begin is not None and live is not None and live.window is not None:
            manifest = await self._cluster.get(kinds.MODEL_VERSION, self._namespace, live.name)
            if manifest is None:
                return
            version = read_version(manifest)
            await self._apply(kinds.JOB, check.job(stack, version, found.begin, live.window.last))
        self._fields["check"] = found.status
        self._wake += [found.wake] if found.wake else []

    async def _check_report(self, stack: Stack, name: str) -> results.JobReport | None:
        job = await self._cluster.get(kinds.JOB, self._namespace, name)
        if job is None:
            return None
        pods = await self._cluster.list(kinds.POD, self._namespace, {names.CHECK: name})
        return results.read(job, pods, check.MEMORY)

    @staticmethod
    def _live_of_recipe(stack: Stack, seen: Observed, plan: configmaps.Plan) -> versions.Known | None:
        return next((one for one in versions.of_recipe(seen.known, stack) if one.name == plan.live), None)

    async def _triggers(self, stack: Stack, seen: Observed, plan: configmaps.Plan, busy: str | None) -> None:
        """Versions that new data, drift or age ask for."""
        live, fresh = self._live_of_recipe(stack, seen, plan), self._conditions.get("Fresh")
        stale = fresh is not None and fresh.reason == "Stale"
        found = triggers.decide(stack, self._fields["check"], seen.known, live, stale=stale, busy=busy)
        for run in found.runs:
            made = modelversion.model_version(stack, run.origin, run.parent, run.days)
            await self._apply(kinds.MODEL_VERSION, made)
            text = f"Version {made['metadata']['name']} is trained ({run.origin.schedule}): {run.why}."
            self.tell("Normal", "VersionCreated", text)
        self._set_or_remove("Watched", found.fact)

    def _fresh(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
        limit = stack.spec.training.max_staleness
        if limit is None:
            self._conditions.remove("Fresh")
            return
        fact, turns = status.fresh(plan.live, seen.known, limit, self._now)
        if fact[1] == "Stale" and self._conditions.is_true("Fresh"):
            self.tell("Warning", *fact[1:])
        self._conditions.set("Fresh", *fact)
        self._wake += [turns] if turns else []

    async def _tidy(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
        """Versions beyond the history limit, and repositories that no plan and no pod names any more."""
        await self._prune(stack, seen, plan)
        if seen.deployment is None or not all_ready(seen.deployment) or plan != seen.plan:
            return
        used = {one.repo for one in plan.versions}
        labels = {names.STACK: self._name, names.COMPONENT: configmaps.REPOSITORY}
        for found in await self._cluster.list(kinds.CONFIG_MAP, self._namespace, labels):
            name, version = found["metadata"]["name"], found["metadata"]["labels"].get(names.VERSION)
            if name not in used and version not in plan.drain:
                await self._cluster.delete(kinds.CONFIG_MAP, self._namespace, name, "Background")

    async def _prune(self, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
        """Versions beyond the history limit, and their files after them.

        A Job that fails stays until its TTL takes it, and is made anew then.
        """
        past = versions.history(seen.known, stack, plan)
        found = pruning.decide(self._before.leaving, past, seen.known, seen.version_names, plan)
        self._fields["leaving"] = list(found.leaving)
        for name in found.delete:
            await self._cluster.delete(kinds.MODEL_VERSION, self._namespace, name, "Background")
        if not found.versions:
            return
        made = await self._apply(kinds.JOB, prune.job(stack, found.versions, found.packages))
        ended = {
            one["type"]
            for one in (made.get("status") or {}).get("conditions") or []
            if one["status"] == "True"
        }
        if "Complete" in ended:
            self._fields["leaving"] = list(pruning.done(found))

    # What is told of it

    def _tell_children(self, stack: Stack, seen: Observed) -> None:
        """Conditions from what was observed, for a pass that a later step may end early."""
        self._fields["live_version"] = seen.plan.live
        self._tell_pods(seen, seen.deployment)
        managed = valkey.managed(stack) is not None
        if managed or self._conditions.get("StoresReady") is None:
            self._conditions.set("StoresReady", *status.stores(seen.stateful_set, managed=managed))
        if stack.spec.events.enabled:
            self._conditions.set("EventsReady", *status.events(seen.worker, seen.worker_pods))
        self._tell_model(stack, seen, seen.plan, None)

    def _tell_pods(self, seen: Observed, deployment: Manifest | None) -> None:
        plan = configmaps.Plan(self._fields["live_version"], (), ())
        self._conditions.set("ServingReady", *status.serving(plan, deployment, seen.pods))
        self._fields["replicas"] = deployment["spec"].get("replicas", 1) if deployment else 0
        state = ((deployment or {}).get("status")) or {}
        self._fields["ready_replicas"] = state.get("readyReplicas", 0)

    def _tell_model(self, stack: Stack, seen: Observed, plan: configmaps.Plan, found: Proof | None) -> None:
        pin, goal = stack.spec.rollout.pin, versions.on_its_way(seen.known, stack)
        fact, stalled = status.model(
            plan,
            versions.wanted(stack),
            goal,
            found,
            self._fields["rollout"],
            pinned=pin is not None,
            suspended=stack.spec.suspend,
        )
        self._stalled = "ModelReady" if stalled else self._stalled
        self._conditions.set("ModelReady", *fact)
        self._set_or_remove("Pinned", status.pinned(plan, pin, fact) if pin else None)
        name = goal.name if goal else None
        self._fields["live_version"] = plan.live
        self._fields["history"] = status.history(self._fields["history"], plan.live, self._now)
        self._fields["candidate_version"] = name if name != plan.live else None
        self._tell_pods(seen, seen.deployment)

    def _set_or_remove(self, type: str, fact: status.Fact | None) -> None:
        if fact is None:
            self._conditions.remove(type)
        else:
            self._conditions.set(type, *fact)

    def conclude(self) -> None:
        """Ready, Reconciling and Stalled of a pass that came to its end."""
        status.conclude(self._conditions, stalled=self._stalled)

    def fail(self, reason: str, message: str, *, stalled: bool) -> None:
        """Ready, Reconciling and Stalled of a pass that did not, and the part that it failed in."""
        if self._stage:
            self._conditions.set(self._stage, State.FALSE, reason, message)
        self._conditions.set("Ready", State.FALSE, reason, message)
        bad = self._conditions.get("Ready")
        assert bad is not None
        status.settle(self._conditions, bad, stalled=stalled)

    def tell(self, type: EventType, reason: str, message: str) -> None:
        """Queue an event."""
        self._events.append((type, reason, message))

    async def record(self) -> None:
        """Write the status if it differs, then send the events."""
        if await self._gone():
            return
        wanted = RecommenderStackStatus(
            observed_generation=self._live["metadata"]["generation"],
            phase=status.phase(self._conditions),
            conditions=self._conditions.as_list(status.ORDER),
            **self._fields,
        )
        stalled, ready = self._conditions.get("Stalled"), self._conditions.get("Ready")
        if stalled is not None and stalled.status == State.TRUE and not self._was["Stalled"]:
            self.tell("Warning", stalled.reason, stalled.message)
        if ready is not None and ready.status == State.TRUE and not self._was["Ready"]:
            self.tell("Normal", "Ready", ready.message)
        self._live = await statuses.write(self._cluster, kinds.RECOMMENDER_STACK, self._live, wanted)
        for event in self._events:
            await self._cluster.event(self._live, *event)

    async def _gone(self) -> bool:
        """Whether the last finalizer was taken off in this pass: there is no status to write then."""
        metadata = self._live["metadata"]
        return bool(metadata.get("deletionTimestamp")) and not metadata.get("finalizers")

    # Writes

    async def _apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        return await apply(self._cluster, kind, manifest)

    async def _remove(self, stack: Stack, kind: Kind, name: str) -> None:
        """Delete a child that the spec no longer asks for; nothing that is not the stack's own."""
        found = await self._cluster.get(kind, self._namespace, name)
        if found is not None and _owns(stack, found):
            await self._cluster.delete(kind, self._namespace, name, "Background")


def _owns(stack: Stack, manifest: Manifest) -> bool:
    owners = manifest["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == stack.uid for owner in owners)


def _decoded(data: Mapping[str, str], key: str) -> str:
    return base64.b64decode(data[key]).decode()


def serving_settings(stack: Stack, *, online: bool) -> ServingSettings:
    """What of the spec a version's Triton model needs; ``online``: the feature store has features."""
    spec = stack.spec.serving
    feast = stack.spec.stores.feast if online else None
    cap = spec.diversity.max_per_value
    return ServingSettings(
        graph=spec.graph.value,
        candidates=spec.candidates,
        top_k=spec.top_k,
        gpus=spec.gpus,
        tensorrt=spec.gpu_runtime is GpuRuntime.TENSORRT,
        instances=spec.instances,
        batch_requests=spec.batching.max_requests,
        batch_delay_microseconds=spec.batching.max_queue_delay_microseconds,
        queue_requests=spec.queue.max_requests,
        queue_milliseconds=spec.queue.timeout_milliseconds,
        diversity=spec.diversity.enabled,
        temperature=spec.diversity.temperature,
        max_per_value_feature=cap.feature if cap else None,
        max_per_value=cap.max if cap else 0,
        seen_filter=spec.seen_filter.enabled,
        seen_ttl_seconds=spec.seen_filter.ttl_seconds,
        seen_capacity=spec.seen_filter.capacity,
        seen_error_rate=spec.seen_filter.error_rate,
        trending_candidates=spec.trending.candidates,
        trending_cold_candidates=spec.trending.cold_candidates,
        trending_by=trending_by(stack),
        feast_project=feast_names.project(stack.namespace, stack.name) if feast else None,
        feast_ttl_seconds=feast_builders.ttl_seconds(feast) if feast else 0,
    )


def trending_by(stack: Stack) -> dict[str, str]:
    """Column of items that has trending lists, by the column of users that holds a value of it."""
    columns = events.trending_by(stack)
    return {one.column: one.most_frequent for one in stack.spec.features.user if one.most_frequent in columns}
