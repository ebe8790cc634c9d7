"""Errors of the gateway."""


class Unavailable(Exception):
    """Something that this pod needs does not answer now; it is tried again. The message is for people."""


class Busy(Unavailable):
    """More requests wait for Triton than may (``spec.serving.queue``); the model itself is well."""


class NoRoom(Unavailable):
    """A version does not fit into Triton's memory beside those that are loaded; told with the figures."""


class Refused(Exception):
    """A version that this pod cannot serve, whatever it tries; the message says why."""
