"""Every user name and password reaches Feast as it is."""

import os
from urllib.parse import quote

import pytest
import yaml
from feast.infra.online_stores.redis import RedisOnlineStore
from recstack_feast.connection import connection_string
from recstack_feast.errors import BadInput


@pytest.mark.parametrize(
    "password", ["plain", "12345", "1e5", "true", "a,b=c", "it's", '"q"', "$HOME", "é #: x"]
)
def test_passwords(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = connection_string(f"valkeys://me:{quote(password, safe='')}@cache:6380/2")
    monkeypatch.setenv("RECSTACK_FEAST_CONNECTION", text)
    line = yaml.safe_load(os.path.expandvars("a: '${RECSTACK_FEAST_CONNECTION}'"))["a"]
    nodes, params = RedisOnlineStore._parse_connection_string(line)
    assert nodes == [{"host": "cache", "port": "6380"}]
    assert params == {"db": 2, "ssl": True, "username": "me", "password": password}


def test_without_login() -> None:
    assert connection_string("valkey://cache/0") == "cache:6379,db=0"


@pytest.mark.parametrize("url", ["", "http://cache", "valkey://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BadInput):
        connection_string(url)
