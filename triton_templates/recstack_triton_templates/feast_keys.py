"""Feast's own format in its Redis online store, both ways, for who reads and who writes beside Feast.

An entity is a hash. Its key is the entity key in serialization version 3 and the project's name; its fields
are the murmurhash3 of ``view:feature``, 4 bytes little endian, and ``_ts:view``, when the row was true.
Values are messages of protobuf, ``feast.types.Value`` and ``google.protobuf.Timestamp``, of the few kinds
that a column of a table has.

https://docs.feast.dev/reference/online-stores/redis
https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Value = int | float | str | bytes | bool | None

_STRING, _INT64 = 2, 4
"""Of ``feast.types.ValueType``."""
_BYTES_VAL, _STRING_VAL, _INT32_VAL, _INT64_VAL, _DOUBLE_VAL, _FLOAT_VAL, _BOOL_VAL, _TIME_VAL = range(1, 9)
_NULL_VAL = 19
_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_WRAP = 1 << 64


def entity_key(project: str, join_key: str, entity_id: int) -> bytes:
    """Key of the hash of an entity whose only join key, an Int64, is ``entity_id``."""
    return key_prefix(join_key) + struct.pack("<q", entity_id) + project.encode()


def key_prefix(join_key: str) -> bytes:
    """How the keys of all entities with this join key begin, whatever their project."""
    name = join_key.encode()
    return struct.pack("<III", 1, _STRING, len(name)) + name + struct.pack("<II", _INT64, 8)


def entity_id(key: bytes, project: str, join_key: str) -> int | None:
    """The inverse of :func:`entity_key`; None: the key of something else."""
    prefix, suffix = key_prefix(join_key), project.encode()
    if len(key) != len(prefix) + 8 + len(suffix) or not (key.startswith(prefix) and key.endswith(suffix)):
        return None
    found: int = struct.unpack_from("<q", key, len(prefix))[0]
    return found


def field(view: str, feature: str) -> bytes:
    """Field of a feature's value."""
    return struct.pack("<I", murmur3(f"{view}:{feature}".encode()))


def timestamp_field(view: str) -> bytes:
    """Field of the time at which the values of a view were true; Feast overwrites only what is older."""
    return f"_ts:{view}".encode()


def encode(value: Any) -> bytes:
    """A value as Feast writes it.

    Python's ``int`` is an Int64 and ``float`` a Float64, as numpy's are; ``np.int32`` and ``np.float32`` are
    what they say. None is null.

    Raises:
        TypeError: of no kind that a column has.
        OverflowError: an integer of more than 64 bits.
    """
    if value is None:
        return b""
    if isinstance(value, str):
        content = value.encode()
        return _tag(_STRING_VAL, _SIZED) + _varint(len(content)) + content
    if isinstance(value, np.float32):
        return _tag(_FLOAT_VAL, _FIXED32) + struct.pack("<f", value)
    if isinstance(value, float | np.floating):
        return _tag(_DOUBLE_VAL, _FIXED64) + struct.pack("<d", value)
    if isinstance(value, int | np.integer | np.bool_):
        return _integer(value)
    raise TypeError(f"a feature cannot be {type(value).__name__}")


def _integer(value: int | np.integer[Any] | np.bool_) -> bytes:
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{value} has more than 64 bits")
    if isinstance(value, bool | np.bool_):
        kind = _BOOL_VAL
    else:
        kind = _INT32_VAL if isinstance(value, np.int32) else _INT64_VAL
    return _tag(kind, _VARINT) + _varint(number)


def decode(content: bytes) -> Value:
    """The inverse of :func:`encode`, of every kind of number, text, bytes and time in seconds.

    Raises:
        ValueError: no such message, or a value of another kind, say a list.
    """
    value: Value = None
    for number, wire, raw in _fields(content):
        value = _value(number, wire, raw)
    return value


def _value(number: int, wire: int, raw: int | bytes) -> Value:
    if (number, wire) not in _READ:
        raise ValueError(f"field {number} of feast.types.Value is none of the kinds that are read")
    return _READ[number, wire](raw)


def _signed(raw: Any) -> int:
    return int(raw) - _WRAP if raw >> 63 else int(raw)


_READ: dict[tuple[int, int], Callable[[Any], Value]] = {
    (_BYTES_VAL, _SIZED): bytes,
    (_STRING_VAL, _SIZED): bytes.decode,
    (_INT32_VAL, _VARINT): _signed,
    (_INT64_VAL, _VARINT): _signed,
    (_TIME_VAL, _VARINT): _signed,
    (_DOUBLE_VAL, _FIXED64): lambda raw: float(struct.unpack("<d", raw)[0]),
    (_FLOAT_VAL, _FIXED32): lambda raw: float(struct.unpack("<f", raw)[0]),
    (_BOOL_VAL, _VARINT): bool,
    (_NULL_VAL, _VARINT): lambda _: None,
}


def encode_time(seconds: float) -> bytes:
    """What the timestamp field holds; ``seconds`` since 1970, UTC, from 1970 on."""
    whole, nanos = divmod(round(seconds * 1e9), 10**9)
    parts = [(1, whole), (2, nanos)]
    return b"".join(_tag(number, _VARINT) + _varint(part) for number, part in parts if part)


def decode_time(content: bytes) -> float:
    """The inverse of :func:`encode_time`, seconds since 1970, UTC.

    Raises:
        ValueError: no such message.
    """
    parts = {number: raw for number, _, raw in _fields(content) if isinstance(raw, int)}
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    return _signed(seconds) + nanos / 1e9


def murmur3(content: bytes) -> int:
    """MurmurHash3_x86_32, seed 0, of Austin Appleby's (public domain), unsigned."""
    mask, state = 0xFFFFFFFF, 0
    whole = len(content) // 4 * 4
    for (block,) in struct.iter_unpack("<I", content[:whole]):
        state ^= _scramble(block)
        state = (state << 13 | state >> 19) & mask
        state = (state * 5 + 0xE6546B64) & mask
    state ^= _scramble(int.from_bytes(content[whole:], "little"))
    state ^= len(content)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> shift) * factor & mask
    return state ^ state >> 16


def _scramble(block: int) -> int:
    block = block * 0xCC9E2D51 & 0xFFFFFFFF
    block = (block << 15 | block >> 17) & 0xFFFFFFFF
    return block * 0x1B873593 & 0xFFFFFFFF


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative one as its 64 bits."""
    value %= _WRAP
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(content: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Number, wire type and raw value of each field."""
    place = 0
    while place < len(content):
        tag, place = _read_varint(content, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _read_varint(content, place)
            yield number, wire, value
            continue
        if wire == _SIZED:
            size, place = _read_varint(content, place)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is not known")
        if place + size > len(content):
            raise ValueError("the message ends within a field")
        yield number, wire, content[place : place + size]
        place += size


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise ValueError("the message ends within a number")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % _WRAP, place
    raise ValueError("a number of more than 64 bits")
