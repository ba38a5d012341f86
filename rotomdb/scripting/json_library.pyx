"""The library `cjson` of scripts: JSON to and from Lua.

Numbers are written with 14 digits; a table is an array when its keys are whole numbers from 1 on and not too sparse, else an object;
`cjson.null` is a light userdata. Nothing here holds a Python object, as all of it may raise errors of Lua; the text grows in a
buffer that outlives the call, so that an error leaves nothing behind.
"""

from libc.math cimport floor, isfinite
from libc.stdio cimport snprintf
from libc.stdlib cimport strtod
from libc.string cimport memcmp

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.scripting.lua_api cimport (
    LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, bind_lua, lua_checkstack,
    lua_createtable, lua_gettop, lua_next, lua_pop, lua_pushboolean, lua_pushlightuserdata, lua_pushlstring, lua_pushnil,
    lua_pushnumber, lua_pushstring, lua_rawgeti, lua_rawset, lua_rawseti, lua_setfield, lua_State, lua_toboolean,
    lua_tolstring, lua_tonumber, lua_touserdata, lua_type, lua_typename, luaL_argerror, luaL_checkinteger,
    luaL_checklstring, luaL_error, set_function,
)

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    KEEP_BYTES = 64 * 1024                # a buffer above this is given back
    NUMBER_BYTES = 64

cdef struct Settings:                     # as the functions of the library set them, for all scripts
    bint sparse_convert
    int sparse_ratio
    int sparse_safe
    int encode_depth
    int decode_depth
    int precision
    int encode_invalid                    # 0 refuse, 1 write, 2 write null
    bint decode_invalid
    bint keep_buffer

cdef struct Reader:
    const char* start
    const char* at
    const char* end
    int depth

cdef Settings settings = Settings(False, 2, 10, 1000, 1000, 14, 0, True, True)
cdef Buffer output


# Encoding


cdef void put_text(const char* text, size_t size) noexcept nogil:
    cdef const char* digits = b"0123456789abcdef"
    cdef char escape[6]
    cdef unsigned char byte
    cdef size_t i
    buffer_append_byte(&output, c'"')
    for i in range(size):
        byte = <unsigned char>text[i]
        escape[0] = c'\\'
        if byte == c'"' or byte == c'\\' or byte == c'/':
            escape[1] = <char>byte
        elif byte == 8:
            escape[1] = c'b'
        elif byte == 9:
            escape[1] = c't'
        elif byte == 10:
            escape[1] = c'n'
        elif byte == 12:
            escape[1] = c'f'
        elif byte == 13:
            escape[1] = c'r'
        elif byte < 32 or byte == 127:
            escape[1], escape[2], escape[3] = c'u', c'0', c'0'
            escape[4], escape[5] = digits[byte >> 4], digits[byte & 15]
            buffer_append(&output, escape, 6)
            continue
        else:
            buffer_append_byte(&output, byte)
            continue
        buffer_append(&output, escape, 2)
    buffer_append_byte(&output, c'"')


cdef void refuse(lua_State* L, int index, const char* reason) noexcept:
    luaL_error(L, b"Cannot serialise %s: %s", lua_typename(L, lua_type(L, index)), reason)


cdef void put_number(lua_State* L, int index) noexcept:
    cdef char text[NUMBER_BYTES]
    cdef double number = lua_tonumber(L, index)
    cdef int size
    if not isfinite(number):
        if settings.encode_invalid == 2:
            buffer_append(&output, b"null", 4)
            return
        if settings.encode_invalid == 0:
            refuse(L, index, b"must not be NaN or Inf")
    size = snprintf(text, NUMBER_BYTES, b"%.*g", settings.precision, number)
    buffer_append(&output, text, <size_t>size)


cdef int array_length(lua_State* L) noexcept:
    """Of the table at the top; -1: it is an object."""
    cdef double key
    cdef int most = 0, items = 0
    lua_pushnil(L)
    while lua_next(L, -2):
        key = lua_tonumber(L, -2) if lua_type(L, -2) == LUA_TNUMBER else 0
        if not (1 <= key <= 2147483647 and floor(key) == key):
            lua_pop(L, 2)
            return -1
        if <int>key > most:
            most = <int>key
        items += 1
        lua_pop(L, 1)
    if settings.sparse_ratio > 0 and most > <long>items * settings.sparse_ratio and most > settings.sparse_safe:
        if not settings.sparse_convert:
            refuse(L, -1, b"excessively sparse array")
        return -1
    return most


cdef void put_value(lua_State* L, int depth) noexcept:
    """The value at the top, which stays."""
    cdef size_t size
    cdef const char* text
    cdef int kind = lua_type(L, -1)
    if kind == LUA_TSTRING:
        text = lua_tolstring(L, -1, &size)
        put_text(text, size)
    elif kind == LUA_TNUMBER:
        put_number(L, -1)
    elif kind == LUA_TBOOLEAN:
        if lua_toboolean(L, -1):
            buffer_append(&output, b"true", 4)
        else:
            buffer_append(&output, b"false", 5)
    elif kind == LUA_TTABLE:
        put_table(L, depth + 1)
    elif kind == LUA_TNIL or (kind == LUA_TLIGHTUSERDATA and lua_touserdata(L, -1) == NULL):
        buffer_append(&output, b"null", 4)
    else:
        refuse(L, -1, b"type not supported")


cdef void put_table(lua_State* L, int depth) noexcept:
    cdef int i, length
    cdef bint first = True
    if depth > settings.encode_depth or not lua_checkstack(L, 3):
        luaL_error(L, b"Cannot serialise, excessive nesting (%d)", depth)
    length = array_length(L)
    if length > 0:
        buffer_append_byte(&output, c'[')
        for i in range(1, length + 1):
            if i > 1:
                buffer_append_byte(&output, c',')
            lua_rawgeti(L, -1, i)
            put_value(L, depth)
            lua_pop(L, 1)
        buffer_append_byte(&output, c']')
        return
    buffer_append_byte(&output, c'{')
    lua_pushnil(L)
    while lua_next(L, -2):
        if not first:
            buffer_append_byte(&output, c',')
        first = False
        put_key(L)
        buffer_append_byte(&output, c':')
        put_value(L, depth)
        lua_pop(L, 1)
    buffer_append_byte(&output, c'}')


cdef void put_key(lua_State* L) noexcept:
    """The key below the value at the top."""
    cdef size_t size
    cdef const char* text
    cdef int kind = lua_type(L, -2)
    if kind == LUA_TSTRING:
        text = lua_tolstring(L, -2, &size)
        put_text(text, size)
    elif kind == LUA_TNUMBER:
        buffer_append_byte(&output, c'"')
        put_number(L, -2)
        buffer_append_byte(&output, c'"')
    else:
        refuse(L, -2, b"table key must be a number or string")


cdef int json_encode(lua_State* L) noexcept:
    if lua_gettop(L) != 1:
        return luaL_argerror(L, 1, b"expected 1 argument")
    output.length = 0
    if output.capacity > KEEP_BYTES:
        buffer_release(&output)
    put_value(L, 0)
    lua_pushlstring(L, output.data, output.length)
    return 1


# Decoding


cdef void skip_space(Reader* reader) noexcept nogil:
    while reader.at < reader.end and (
            reader.at[0] == c' ' or reader.at[0] == c'\t' or reader.at[0] == c'\n' or reader.at[0] == c'\r'):
        reader.at += 1


cdef const char* token_name(lua_State* L, Reader* reader, const char* expected) noexcept:
    """What stands there, for an error; a string or a number that is none is the error then."""
    cdef const char* start = reader.at
    cdef char first
    if reader.at >= reader.end:
        return b"T_END"
    first = reader.at[0]
    if first == c'{':
        return b"T_OBJ_BEGIN"
    if first == c'}':
        return b"T_OBJ_END"
    if first == c'[':
        return b"T_ARR_BEGIN"
    if first == c']':
        return b"T_ARR_END"
    if first == c':':
        return b"T_COLON"
    if first == c',':
        return b"T_COMMA"
    if first == c'"':
        take_text(L, reader, expected)
        reader.at = start
        return b"T_STRING"
    if first == c'-' or c'0' <= first <= c'9':
        take_number(L, reader, expected)
        reader.at = start
        return b"T_NUMBER"
    if has_word(reader, b"true", 4) or has_word(reader, b"false", 5):
        return b"T_BOOLEAN"
    if has_word(reader, b"null", 4):
        return b"T_NULL"
    return b"invalid token"


cdef bint has_word(Reader* reader, const char* word, int size) noexcept nogil:
    return reader.end - reader.at >= size and memcmp(reader.at, word, <size_t>size) == 0


cdef void fail(lua_State* L, Reader* reader, const char* expected, const char* found) noexcept:
    luaL_error(L, b"Expected %s but found %s at character %d", expected, found, <int>(reader.at - reader.start) + 1)


cdef int hex_digits(const char* at) noexcept nogil:
    """Four of them; -1: they are none."""
    cdef int value = 0, i
    cdef char byte
    for i in range(4):
        byte = at[i]
        if c'0' <= byte <= c'9':
            value = value * 16 + byte - c'0'
        elif c'a' <= byte <= c'f':
            value = value * 16 + byte - c'a' + 10
        elif c'A' <= byte <= c'F':
            value = value * 16 + byte - c'A' + 10
        else:
            return -1
    return value


cdef void put_utf8(int code) noexcept nogil:
    if code < 0x80:
        buffer_append_byte(&output, <unsigned char>code)
    elif code < 0x800:
        buffer_append_byte(&output, <unsigned char>(0xC0 | code >> 6))
        buffer_append_byte(&output, <unsigned char>(0x80 | code & 0x3F))
    elif code < 0x10000:
        buffer_append_byte(&output, <unsigned char>(0xE0 | code >> 12))
        buffer_append_byte(&output, <unsigned char>(0x80 | code >> 6 & 0x3F))
        buffer_append_byte(&output, <unsigned char>(0x80 | code & 0x3F))
    else:
        buffer_append_byte(&output, <unsigned char>(0xF0 | code >> 18))
        buffer_append_byte(&output, <unsigned char>(0x80 | code >> 12 & 0x3F))
        buffer_append_byte(&output, <unsigned char>(0x80 | code >> 6 & 0x3F))
        buffer_append_byte(&output, <unsigned char>(0x80 | code & 0x3F))


cdef bint take_unicode(Reader* reader) noexcept nogil:
    """A \\uXXXX, or two that are a pair of surrogates; the reader stands on the backslash."""
    cdef int code, low
    if reader.end - reader.at < 6:
        return False
    code = hex_digits(reader.at + 2)
    if code < 0 or 0xDC00 <= code < 0xE000:
        return False
    if 0xD800 <= code < 0xDC00:
        if reader.end - reader.at < 12 or reader.at[6] != c'\\' or reader.at[7] != c'u':
            return False
        low = hex_digits(reader.at + 8)
        if not 0xDC00 <= low < 0xE000:
            return False
        code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)
        reader.at += 6
    put_utf8(code)
    reader.at += 6
    return True


cdef void take_text(lua_State* L, Reader* reader, const char* expected) noexcept:
    """A string onto the stack; the reader stands on the quote."""
    cdef char byte
    output.length = 0
    reader.at += 1
    while True:
        if reader.at >= reader.end:
            fail(L, reader, expected, b"unexpected end of string")
        byte = reader.at[0]
        if byte == c'"':
            break
        if byte != c'\\':
            buffer_append_byte(&output, <unsigned char>byte)
            reader.at += 1
            continue
        byte = reader.at[1] if reader.at + 1 < reader.end else 0
        if byte == c'u':
            if not take_unicode(reader):
                fail(L, reader, expected, b"invalid unicode escape code")
            continue
        if byte == c'b':
            byte = 8
        elif byte == c't':
            byte = 9
        elif byte == c'n':
            byte = 10
        elif byte == c'f':
            byte = 12
        elif byte == c'r':
            byte = 13
        elif byte != c'"' and byte != c'\\' and byte != c'/':
            fail(L, reader, expected, b"invalid escape code")
        buffer_append_byte(&output, <unsigned char>byte)
        reader.at += 2
    reader.at += 1
    lua_pushlstring(L, buffer_reserve(&output, 1) - output.length, output.length)


cdef bint names_no_number(Reader* reader) noexcept nogil:
    """Hexadecimal, infinite, not a number, or with a zero in front: what JSON has not and strtod takes."""
    cdef const char* at = reader.at
    cdef char byte
    if at < reader.end and (at[0] == c'-' or at[0] == c'+'):
        at += 1
    if at >= reader.end:
        return True
    byte = at[0]
    if byte == c'0':
        byte = at[1] if at + 1 < reader.end else 0
        return byte == c'x' or byte == c'X' or c'0' <= byte <= c'9'
    return not c'0' <= byte <= c'9'


cdef void take_number(lua_State* L, Reader* reader, const char* expected) noexcept:
    cdef char* end
    cdef double number
    if not settings.decode_invalid and names_no_number(reader):
        fail(L, reader, expected, b"invalid number")
    number = strtod(reader.at, &end)                # Lua's strings end with a zero byte
    if end == reader.at:
        fail(L, reader, expected, b"invalid number")
    reader.at = end
    lua_pushnumber(L, number)


cdef void descend(lua_State* L, Reader* reader) noexcept:
    reader.depth += 1
    reader.at += 1
    if reader.depth > settings.decode_depth or not lua_checkstack(L, 3):
        luaL_error(L, b"Found too many nested data structures (%d) at character %d", reader.depth,
                   <int>(reader.at - reader.start))


cdef void take_object(lua_State* L, Reader* reader) noexcept:
    descend(L, reader)
    lua_createtable(L, 0, 0)
    skip_space(reader)
    if reader.at < reader.end and reader.at[0] == c'}':
        reader.at += 1
        reader.depth -= 1
        return
    while True:
        skip_space(reader)
        if reader.at >= reader.end or reader.at[0] != c'"':
            fail(L, reader, b"object key string", token_name(L, reader, b"object key string"))
        take_text(L, reader, b"object key string")
        skip_space(reader)
        if reader.at >= reader.end or reader.at[0] != c':':
            fail(L, reader, b"colon", token_name(L, reader, b"colon"))
        reader.at += 1
        take_value(L, reader)
        lua_rawset(L, -3)
        skip_space(reader)
        if reader.at < reader.end and reader.at[0] == c'}':
            break
        if reader.at >= reader.end or reader.at[0] != c',':
            fail(L, reader, b"comma or object end", token_name(L, reader, b"comma or object end"))
        reader.at += 1
    reader.at += 1
    reader.depth -= 1


cdef void take_array(lua_State* L, Reader* reader) noexcept:
    cdef int i = 0
    descend(L, reader)
    lua_createtable(L, 0, 0)
    skip_space(reader)
    if reader.at < reader.end and reader.at[0] == c']':
        reader.at += 1
        reader.depth -= 1
        return
    while True:
        i += 1
        take_value(L, reader)
        lua_rawseti(L, -2, i)
        skip_space(reader)
        if reader.at < reader.end and reader.at[0] == c']':
            break
        if reader.at >= reader.end or reader.at[0] != c',':
            fail(L, reader, b"comma or array end", token_name(L, reader, b"comma or array end"))
        reader.at += 1
    reader.at += 1
    reader.depth -= 1


cdef bint begins_invalid_number(char byte) noexcept nogil:
    return byte == c'i' or byte == c'I' or byte == c'n' or byte == c'N' or byte == c'+'


cdef void take_value(lua_State* L, Reader* reader) noexcept:
    cdef char byte
    skip_space(reader)
    if reader.at >= reader.end:
        fail(L, reader, b"value", b"T_END")
    byte = reader.at[0]
    if byte == c'"':
        take_text(L, reader, b"value")
    elif byte == c'{':
        take_object(L, reader)
    elif byte == c'[':
        take_array(L, reader)
    elif byte == c'-' or c'0' <= byte <= c'9':
        take_number(L, reader, b"value")
    elif has_word(reader, b"true", 4):
        lua_pushboolean(L, 1)
        reader.at += 4
    elif has_word(reader, b"false", 5):
        lua_pushboolean(L, 0)
        reader.at += 5
    elif has_word(reader, b"null", 4):
        lua_pushlightuserdata(L, NULL)
        reader.at += 4
    elif begins_invalid_number(byte) and settings.decode_invalid and is_invalid_number(reader):
        take_number(L, reader, b"value")
    else:
        fail(L, reader, b"value", token_name(L, reader, b"value"))


cdef bint is_invalid_number(Reader* reader) noexcept nogil:
    cdef char* end
    strtod(reader.at, &end)
    return end != reader.at


cdef int json_decode(lua_State* L) noexcept:
    cdef Reader reader
    cdef size_t size
    if lua_gettop(L) != 1:
        return luaL_argerror(L, 1, b"expected 1 argument")
    reader.start = luaL_checklstring(L, 1, &size)
    reader.at = reader.start
    reader.end = reader.start + size
    reader.depth = 0
    if size >= 2 and (reader.start[0] == 0 or reader.start[1] == 0):
        return luaL_error(L, b"JSON parser does not support UTF-16 or UTF-32")
    if output.capacity > KEEP_BYTES:
        buffer_release(&output)
    take_value(L, &reader)
    skip_space(&reader)
    if reader.at < reader.end:
        fail(L, &reader, b"the end", token_name(L, &reader, b"the end"))
    return 1


# Settings


cdef int number_setting(lua_State* L, int index, int now, int least, int most) noexcept:
    cdef long value
    if lua_type(L, index) > LUA_TNIL:
        value = <long>luaL_checkinteger(L, index)
        if not least <= value <= most:
            luaL_error(L, b"bad argument #%d (expected integer between %d and %d)", index, least, most)
        now = <int>value
    return now


cdef int json_sparse(lua_State* L) noexcept:
    if lua_type(L, 1) == LUA_TBOOLEAN:
        settings.sparse_convert = lua_toboolean(L, 1)
    settings.sparse_ratio = number_setting(L, 2, settings.sparse_ratio, 0, 2147483647)
    settings.sparse_safe = number_setting(L, 3, settings.sparse_safe, 0, 2147483647)
    lua_pushboolean(L, settings.sparse_convert)
    lua_pushnumber(L, settings.sparse_ratio)
    lua_pushnumber(L, settings.sparse_safe)
    return 3


cdef int json_encode_depth(lua_State* L) noexcept:
    settings.encode_depth = number_setting(L, 1, settings.encode_depth, 1, 2147483647)
    lua_pushnumber(L, settings.encode_depth)
    return 1


cdef int json_decode_depth(lua_State* L) noexcept:
    settings.decode_depth = number_setting(L, 1, settings.decode_depth, 1, 2147483647)
    lua_pushnumber(L, settings.decode_depth)
    return 1


cdef int json_precision(lua_State* L) noexcept:
    settings.precision = number_setting(L, 1, settings.precision, 1, 16)
    lua_pushnumber(L, settings.precision)
    return 1


cdef int json_keep_buffer(lua_State* L) noexcept:
    if lua_type(L, 1) == LUA_TBOOLEAN:
        settings.keep_buffer = lua_toboolean(L, 1)
    lua_pushboolean(L, settings.keep_buffer)
    return 1


cdef int json_encode_invalid(lua_State* L) noexcept:
    cdef size_t size
    cdef const char* word
    if lua_type(L, 1) == LUA_TBOOLEAN:
        settings.encode_invalid = 1 if lua_toboolean(L, 1) else 0
    elif lua_type(L, 1) > LUA_TNIL:
        word = luaL_checklstring(L, 1, &size)
        if size != 4 or memcmp(word, b"null", 4) != 0:
            return luaL_argerror(L, 1, b"invalid option")
        settings.encode_invalid = 2
    if settings.encode_invalid == 2:
        lua_pushstring(L, b"null")
    else:
        lua_pushboolean(L, settings.encode_invalid)
    return 1


cdef int json_decode_invalid(lua_State* L) noexcept:
    if lua_type(L, 1) == LUA_TBOOLEAN:
        settings.decode_invalid = lua_toboolean(L, 1)
    lua_pushboolean(L, settings.decode_invalid)
    return 1


cdef int json_new(lua_State* L) noexcept:
    """Redis's gives a table with settings of its own; here there is one."""
    push_library(L)
    return 1


cdef void push_library(lua_State* L) noexcept:
    lua_createtable(L, 0, 14)
    set_function(L, b"encode", json_encode)
    set_function(L, b"decode", json_decode)
    set_function(L, b"encode_sparse_array", json_sparse)
    set_function(L, b"encode_max_depth", json_encode_depth)
    set_function(L, b"decode_max_depth", json_decode_depth)
    set_function(L, b"encode_number_precision", json_precision)
    set_function(L, b"encode_keep_buffer", json_keep_buffer)
    set_function(L, b"encode_invalid_numbers", json_encode_invalid)
    set_function(L, b"decode_invalid_numbers", json_decode_invalid)
    set_function(L, b"new", json_new)
    lua_pushlightuserdata(L, NULL)
    lua_setfield(L, -2, b"null")
    lua_pushstring(L, b"cjson")
    lua_setfield(L, -2, b"_NAME")
    lua_pushstring(L, b"2.1.0")
    lua_setfield(L, -2, b"_VERSION")


cdef void open_json(lua_State* L) noexcept:
    push_library(L)
    lua_setfield(L, -2, b"cjson")
