"""Values of command functions to RESP2 and RESP3."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport int64_t

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_release
from rotomdb.engine.number cimport format_double
from rotomdb.formats.resp.resp cimport put_bulk, put_number

from rotomdb.engine.number import format_float
from rotomdb.commands.reply import (
    BLOCKED, NO_REPLY, NULL_ARRAY, OK, InTurn, MapReply, Protocol, PushReply, SetReply, Status, Verbatim,
)
from rotomdb.errors import CommandError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLongMask(object value) except? -1

cdef object ok_reply = OK
cdef object null_array = NULL_ARRAY
cdef object no_reply = NO_REPLY
cdef object blocked = BLOCKED
cdef object status_type = Status
cdef object verbatim_type = Verbatim
cdef object map_type = MapReply
cdef object set_type = SetReply
cdef object push_type = PushReply
cdef object in_turn_type = InTurn
cdef object protocol_type = Protocol


cdef int put_double(Buffer* out, double value, int resp) except -1:
    cdef char text[48]
    cdef int size = format_double(text, value)
    if resp < 3:
        put_bulk(out, text, <size_t>size)
        return 0
    buffer_append(out, b",", 1)
    buffer_append(out, text, <size_t>size)
    buffer_append(out, b"\r\n", 2)
    return 0


cdef int put_integer(Buffer* out, object value) except -1:
    """An unsigned counter above the range shows as C prints it signed: a reply must not fail for a number."""
    cdef int overflow
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    put_number(out, c':', number if not overflow else <long long>PyLong_AsUnsignedLongLongMask(value))
    return 0


cdef int put_elements(Buffer* out, object elements, int resp) except -1:
    for element in elements:
        encode_reply(out, element, resp)
    return 0


cdef int put_line(Buffer* out, const char* marker, object text) except -1:
    buffer_append(out, marker, 1)
    buffer_append(out, PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))
    buffer_append(out, b"\r\n", 2)
    return 0


cdef int put_header(Buffer* out, object kind, Py_ssize_t count, int resp) except -1:
    if resp < 3:
        put_number(out, c'*', count)
    elif kind is map_type:
        put_number(out, c'%', count // 2)
    else:
        put_number(out, c'~' if kind is set_type else c'>' if kind is push_type else c'*', count)
    return 0


cdef int encode_list(Buffer* out, list value, int resp) except -1:
    cdef Py_ssize_t i, count = PyList_GET_SIZE(value)
    cdef object element
    put_number(out, c'*', count)
    for i in range(count):
        element = <object>PyList_GET_ITEM(value, i)
        if PyBytes_CheckExact(element):
            put_bulk(out, PyBytes_AS_STRING(element), <size_t>PyBytes_GET_SIZE(element))
        else:
            encode_reply(out, element, resp)
    return 0


cdef int encode_reply(Buffer* out, object value, int resp) except -1:
    if value is ok_reply:
        buffer_append(out, b"+OK\r\n", 5)
    elif PyBytes_CheckExact(value):
        put_bulk(out, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
    elif PyLong_CheckExact(value):
        put_integer(out, value)
    elif value is None:
        buffer_append(out, b"$-1\r\n" if resp < 3 else b"_\r\n", 5 if resp < 3 else 3)
    elif type(value) is list:
        encode_list(out, value, resp)
    else:
        encode_rare(out, value, resp)
    return 0


cdef int encode_rare(Buffer* out, object value, int resp) except -1:
    cdef object kind = type(value)
    if kind is bool:
        buffer_append(out, b":1\r\n" if value else b":0\r\n", 4)
    elif kind is status_type:
        put_line(out, b"+", value)
    elif kind is float:
        put_double(out, value, resp)
    elif isinstance(value, CommandError):
        text = str(value).rstrip("\r\n").replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")
        put_line(out, b"-", text)
    elif kind is tuple or kind is map_type or kind is set_type or kind is push_type:
        put_header(out, kind, len(value), resp)
        put_elements(out, value, resp)
    elif kind is in_turn_type:
        put_elements(out, value, resp)
    elif kind is dict:
        put_number(out, c'%' if resp == 3 else c'*', len(value) if resp == 3 else 2 * len(value))
        for key, item in value.items():
            encode_reply(out, key, resp)
            encode_reply(out, item, resp)
    elif value is null_array:
        buffer_append(out, b"*-1\r\n" if resp < 3 else b"_\r\n", 5 if resp < 3 else 3)
    elif kind is verbatim_type:
        if resp == 3:
            put_number(out, c'=', len(value) + 4)
            buffer_append(out, b"txt:", 4)
            buffer_append(out, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
            buffer_append(out, b"\r\n", 2)
        else:
            put_bulk(out, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
    elif kind is protocol_type:
        buffer_append(out, PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
    elif kind is str:
        encode_reply(out, value.encode(), resp)
    elif value is not no_reply and value is not blocked:
        raise TypeError(f"a command returned {value!r}, which is no reply")
    return 0


cdef int64_t reply_bytes(object value, int64_t enough) except -1:
    """About how many bytes of reply a value makes; counting ends at `enough`."""
    cdef int64_t total = 0
    if PyBytes_CheckExact(value):
        return PyBytes_GET_SIZE(value)
    if isinstance(value, (list, tuple)):
        for element in value:
            total += 8 + reply_bytes(element, enough - total)
            if total >= enough:
                break
    elif isinstance(value, dict):
        for key, element in value.items():
            total += 16 + reply_bytes(key, enough - total) + reply_bytes(element, enough - total)
            if total >= enough:
                break
    elif isinstance(value, (bytes, str)):
        total = len(value)
    return total


def encode(value, int resp=2):
    """RESP bytes of a value."""
    cdef Buffer out
    out.data = NULL
    out.length = 0
    out.capacity = 0
    encode_reply(&out, value, resp)
    result = PyBytes_FromStringAndSize(out.data, <Py_ssize_t>out.length)
    buffer_release(&out)
    return result


def plain_reply(value):
    """The value as a RESP2 parser would give it: bytes, int, None, lists of them and CommandErrors."""
    if PyBytes_CheckExact(value) or value is None or PyLong_CheckExact(value):
        return value
    kind = type(value)
    if kind is list or kind is tuple or kind is map_type or kind is set_type or kind is push_type or kind is in_turn_type:
        return [plain_reply(item) for item in value]
    if kind is status_type or kind is verbatim_type:
        return bytes(value)
    if kind is bool:
        return int(value)
    if kind is float:
        return format_float(value)
    if kind is str:
        return value.encode()
    if kind is dict:
        return [plain_reply(part) for pair in value.items() for part in pair]
    if value is null_array or value is no_reply or value is blocked:
        return None
    return value
