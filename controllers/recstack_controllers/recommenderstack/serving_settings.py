"""What of a stack's spec the Triton models of its versions are rendered with."""

from recstack_crds.v1alpha1.platform import GpuRuntime
from recstack_triton_templates import feast_names
from recstack_triton_templates.render import ServingSettings

from recstack_controllers.resources import events
from recstack_controllers.resources import feast as feast_builders
from recstack_controllers.resources.stack import Stack


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
