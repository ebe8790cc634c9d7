"""The connection string of Feast's Redis store from a URL."""

import json
import re
from urllib.parse import unquote, urlsplit

from recstack_feast.errors import BadInput

TLS = frozenset({"valkeys", "rediss"})
SCHEMES = TLS | {"valkey", "redis"}


def client_url(url: str) -> str:
    """The same address for the client library, which knows the protocol by its old name only."""
    return re.sub("^valkey", "redis", url)


def connection_string(url: str) -> str:
    """``valkey[s]://[user:password@]host:port/db`` as ``host:port,key=value,...``.

    Feast splits at commas and reads each value as JSON where it can, so that a password of digits would
    become a number: texts are given as JSON, without commas. Single quotes would end the YAML text that it
    is put in.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise BadInput("InvalidUrl", "The Secret's url is not valkey[s]://[user:password@]host:port/db.")
    words = [f"{parts.hostname}:{parts.port or 6379}", f"db={parts.path.strip('/') or 0}"]
    if parts.scheme in TLS:
        words.append("ssl=true")
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            text = json.dumps(unquote(value)).replace(",", "\\u002c").replace("'", "\\u0027")
            words.append(f"{name}={text}")
    return ",".join(words)
