"""What reaches the newer decoders through commands: the libraries of scripts, payloads of functions, the rules of users.

Each input is made with structure and with something wrong in it, as payloads.py does it for values; a server without sockets in
this process takes it. Nothing of it may end in a crash or an internal error, and what was accepted has to come back the same.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from rotomdb.errors import CommandError
from rotomdb.formats.rdb.dump_payload import seal
from rotomdb.formats.rdb.encoder import encode_string
from rotomdb.formats.rdb.format import OPCODE_FUNCTION2, VERSION_FUNCTIONS
from rotomdb.testing.payloads import TEXTS, Shaper
from rotomdb.testing.restores import PayloadUser, Problem

RATES = (0.0, 0.01, 0.05, 0.2)
DEEPEST = 5
BETWEEN_RULES = b"\x1f"  # in an input: no rule of ours holds it

UNPACK_MSGPACK = b"""
pcall(cmsgpack.unpack_limit, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
pcall(cmsgpack.unpack_one, ARGV[1], tonumber(ARGV[3]))
local fine, value = pcall(cmsgpack.unpack, ARGV[1])
if not fine then return 'refused' end
local packed = cmsgpack.pack(value)
return #cmsgpack.pack(cmsgpack.unpack(packed)) == #packed
"""
DECODE_JSON = b"""
local fine, value = pcall(cjson.decode, ARGV[1])
if not fine then return false end
local written, text = pcall(cjson.encode, value)
if not written then return false end
pcall(cjson.decode, text)
return text
"""
UNPACK_STRUCT = b"""
pcall(struct.size, ARGV[1])
local values = {pcall(struct.unpack, ARGV[1], ARGV[2], tonumber(ARGV[3]))}
if not values[1] then return false end
table.remove(values, 1)
table.remove(values)
local packed = {pcall(struct.pack, ARGV[1], unpack(values))}
return packed[1] and packed[2]
"""


@cache
def user() -> PayloadUser:
    """Made by whoever reads the first input: a process of its own."""
    return PayloadUser()


# MessagePack


def msgpack(s: Shaper, level: int = 0) -> bytes:
    rng = s.rng
    kind = rng.randrange(9 if level < DEEPEST else 6)
    if kind == 0:
        return bytes([rng.choice((0xC0, 0xC2, 0xC3, 0x00, 0x7F, 0xE0, 0xFF, 0xC1, 0xD4, 0xC7))])
    if kind == 1:
        size = rng.choice((1, 2, 4, 8))
        return bytes([(0xCC if rng.random() < 0.5 else 0xD0) + size.bit_length() - 1]) + rng.randbytes(size)
    if kind == 2:
        return b"\xca" + struct.pack(">f", rng.random()) if rng.random() < 0.5 else b"\xcb" + rng.randbytes(8)
    if kind <= 5:
        text = rng.choice(TEXTS)
        return headed(s, len(text), 0xA0, 32, 0xD9) + text
    count = rng.choice((0, 1, 2, 3, 15, 16, 20))
    if kind == 6:
        return headed(s, count, 0x80, 16, 0xDE) + b"".join(msgpack(s, level + 1) for _ in range(2 * count - s.wrong()))
    return headed(s, count, 0x90, 16, 0xDC) + b"".join(msgpack(s, level + 1) for _ in range(count - s.wrong()))


def headed(s: Shaper, count: int, short: int, shorter_than: int, long: int) -> bytes:
    """A type and a length; texts have a form of one byte more than arrays and maps have."""
    if count < shorter_than and s.rng.random() < 0.7:
        return bytes([short | (s.edge(count, 4) if s.wrong() else count)])
    sizes = (1, 2, 4) if long == 0xD9 else (2, 4)
    at = s.rng.randrange(len(sizes))
    size = sizes[at]
    value = s.edge(count, 8 * size) if s.wrong() else count & ((1 << 8 * size) - 1)
    return bytes([long + at]) + value.to_bytes(size, "big")


def structured_msgpack(rng: random.Random) -> bytes:
    return msgpack(Shaper(rng, rng.choice(RATES)))


def run_script(script: bytes, *arguments: bytes) -> Any:
    reply = user().run(b"EVAL", script, b"0", *arguments)
    if isinstance(reply, CommandError):
        raise Problem(f"the script ends with an error: {reply}")
    return reply


def unpack_msgpack(data: bytes) -> None:
    rng = random.Random(data)
    limit, offset = (str(rng.choice((0, 1, 2, 3, 2**31 - 1, len(data), len(data) - 1))).encode() for _ in range(2))
    if run_script(UNPACK_MSGPACK, data, limit, offset) is False:
        raise Problem("what was unpacked is packed as another value")


# JSON


def json_value(rng: random.Random, level: int = 0) -> Any:
    kind = rng.randrange(6 if level < DEEPEST else 4)
    if kind == 0:
        return rng.choice((None, True, False, 0, -1, 10**14, 1e300, -1.5e-300, 2**63))
    if kind <= 3:
        return rng.choice(TEXTS).decode("latin-1")
    if kind == 4:
        return [json_value(rng, level + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS).decode("latin-1"): json_value(rng, level + 1) for _ in range(rng.randrange(4))}


def structured_json(rng: random.Random) -> bytes:
    text = json.dumps(json_value(rng), ensure_ascii=rng.random() < 0.5).encode()
    for _ in range(rng.choice((0, 0, 1, 2, 6))):
        at = rng.randrange(len(text) + 1)
        bad = (
            b"\\u",
            b"\\ud83d",
            b"\\ud83d\\udc00",
            b"\\",
            b'"',
            b"[" * 2000,
            b"1e999",
            b"0x1p4",
            b"-",
            b"NaN",
            b"\0",
            b"\xff",
        )
        text = text[:at] + rng.choice(bad) + text[at + rng.randrange(3) :]
    return text


def decode_json(data: bytes) -> None:
    run_script(DECODE_JSON, data)


# struct


def structured_struct(rng: random.Random) -> bytes:
    """One byte with the length of the format, the format, and what it is to read."""
    options = "bBhHlLTfdsx<>=! "
    format = b"".join(
        rng.choice(options).encode() if rng.random() < 0.6 else
        rng.choice("iIc!sx").encode() + str(rng.choice((0, 1, 2, 3, 4, 7, 8, 9, 16, 32, 33, 2147483647, 2147483648))).encode()
        for _ in range(rng.randrange(12))
    )[:255]  # fmt: skip
    return bytes([len(format)]) + format + rng.randbytes(rng.choice((0, 1, 8, 40, 300)))


def unpack_struct(data: bytes) -> None:
    size = data[0] if data else 0
    place = random.Random(data).choice((1, 1, 1, 2, 0, -1, len(data), 2**31, 2**53))
    run_script(UNPACK_STRUCT, data[1 : 1 + size], data[1 + size :], b"%d" % place)


# Libraries of functions


def structured_functions(rng: random.Random) -> bytes:
    """The payload of FUNCTION RESTORE; its checksum is right."""
    s = Shaper(rng, rng.choice(RATES))
    body = b""
    for i in range(rng.choice((0, 1, 1, 2, 3))):
        name = rng.choice((b"one", b"two", b"l%d" % i, b"", b"a b", b"\xff"))
        source = b"#!lua name=" + name + b"\nredis.register_function('" + name + b"%d', function() return 1 end)" % i
        if s.wrong():
            at = rng.randrange(len(source))
            source = source[:at] + rng.choice((b"\n", b"'", b"\0", b"", b"name=x ", b"error('x') ")) + source[at + 1 :]
        text = (
            encode_string(source * rng.choice((1, 1, 1, 20)), rng.random() < 0.5) if not s.wrong() else s.string(source)
        )
        body += bytes([OPCODE_FUNCTION2 if not s.wrong() else rng.randrange(256)]) + text
    return seal(body, VERSION_FUNCTIONS)


def restore_functions(data: bytes) -> None:
    run = user().run
    run(b"FUNCTION", b"FLUSH")
    for policy in (b"FLUSH", b"APPEND", b"REPLACE"):
        run(b"FUNCTION", b"RESTORE", data, policy)
    held, dumped = run(b"FUNCTION", b"LIST", b"WITHCODE"), run(b"FUNCTION", b"DUMP")
    reply = run(b"FUNCTION", b"RESTORE", dumped, b"FLUSH")
    if isinstance(reply, CommandError):
        raise Problem(f"their dump is refused: {reply}")
    if run(b"FUNCTION", b"LIST", b"WITHCODE") != held:
        raise Problem("their dump holds other libraries")


# Users

RULES = (
    b"on", b"off", b"nopass", b"reset", b"resetpass", b"resetkeys", b"clearselectors", b"allkeys", b"+@all", b"-@all", b"+get",
    b"-get", b"+config|get", b"-config|get", b"+select|0", b"+@read", b"-@write", b"~a*", b"%R~b*", b"%W~c*", b"%RW~d", b"&news.*",
    b">secret", b"<secret", b"#" + b"a" * 64, b"!" + b"a" * 64, b"(+get ~x*)", b"(-@all +set %W~y", b"~z)", b"(", b")", b"%", b"%~",
    b"+", b"-", b"+|", b"+get|", b"@", b"+@", b"~" + b"[" * 50, b"~" + b"*a" * 40, b"&\\", b"\xff", b'~"q', b"sanitize-payload",
)  # fmt: skip
REQUESTS = (
    (b"GET", b"a1"), (b"SET", b"y1", b"v"), (b"MSET", b"a", b"1", b"b", b"2"), (b"CONFIG", b"GET", b"dir"), (b"SELECT", b"0"),
    (b"XREAD", b"STREAMS", b"a", b"0"), (b"SORT", b"a", b"BY", b"x*", b"GET", b"#", b"STORE", b"b"), (b"EVAL", b"x", b"9", b"a"),
    (b"PUBLISH", b"news.a", b"x"), (b"PSUBSCRIBE", b"news.*"), (b"GEORADIUS", b"a", b"1", b"1", b"5", b"km", b"STORE", b"b"),
)  # fmt: skip


def structured_rules(rng: random.Random) -> bytes:
    words = [rng.choice(RULES) for _ in range(rng.randrange(9))]
    for i, word in enumerate(words):
        if rng.random() < 0.2 and word:
            at = rng.randrange(len(word))
            words[i] = (
                word[:at]
                + rng.choice((b"", b"*", b"[", b"]", b"^-", b"\\", b"?", b"|", b"(", b" ", b"\0", b"%"))
                + word[at:]
            )
    return BETWEEN_RULES.join(words)


def apply_rules(data: bytes) -> None:
    run = user().run
    run(b"ACL", b"DELUSER", b"fuzzed", b"again")
    reply = run(b"ACL", b"SETUSER", b"fuzzed", *data.split(BETWEEN_RULES))
    if isinstance(reply, CommandError):
        return
    for request in REQUESTS:
        run(b"ACL", b"DRYRUN", b"fuzzed", *request)
    shown = run(b"ACL", b"GETUSER", b"fuzzed")
    if not isinstance(shown, dict | list):
        raise Problem(f"a user that was made is not there: {shown!r}")


INPUTS: dict[str, tuple[Callable[[bytes], None], Callable[[random.Random], bytes]]] = {
    "cmsgpack": (unpack_msgpack, structured_msgpack),
    "cjson": (decode_json, structured_json),
    "struct": (unpack_struct, structured_struct),
    "functions": (restore_functions, structured_functions),
    "acl": (apply_rules, structured_rules),
}
"""Name: (what takes an input, what makes one)."""
