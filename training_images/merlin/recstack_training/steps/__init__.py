"""One module a step, each with ``run(context, folder) -> (metrics, package digest or None)``."""
