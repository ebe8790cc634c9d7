"""The process: watches, queue, leader election, metrics. Decisions are made in recstack_controllers."""
