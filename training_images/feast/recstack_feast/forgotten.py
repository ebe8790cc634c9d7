"""Rows of people who were forgotten during a materialization, taken out of the online store once more.

It had read them from the files before they went, and wrote them afterwards.
"""

import redis
from recstack_triton_templates import feast_keys
from recstack_triton_templates.event_keys import forgotten

from recstack_feast.connection import client_url


def take_out(url: str, project: str) -> int:
    """Fields that were forgotten go from rows that are from before then; gives how many rows had some.

    A row of later says what the person did since, and stays.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    gone = 0
    with redis.Redis.from_url(client_url(url)) as client:
        for member, score in client.zrange(forgotten(project), 0, -1, withscores=True):
            row, stamp, *fields = (bytes.fromhex(word) for word in member.decode().split())
            said = client.hget(row, stamp)
            if said is None or feast_keys.decode_time(said) > score:
                continue
            gone += bool(client.hdel(row, *fields))
            if client.hlen(row) == 1:  # its time is all that is left
                client.delete(row)
    return gone
