"""The library `cmsgpack` of scripts: MessagePack to and from Lua.

A whole number is written as an integer of the least size, another one as a float where that loses nothing; a table whose keys are 1 to
n is an array; below 16 levels tables become nil. Nothing here holds a Python object, as all of it may raise errors of Lua; the bytes
grow in a buffer that outlives the call.
"""

from libc.math cimport floor
from libc.stdint cimport UINT32_MAX, int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release
from rotomdb.scripting.lua_api cimport (
    LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, bind_lua, lua_createtable, lua_gettop, lua_insert, lua_next,
    lua_pop, lua_pushboolean, lua_pushlstring, lua_pushnil, lua_pushnumber, lua_pushstring, lua_pushvalue, lua_rawgeti,
    lua_rawseti, lua_setfield, lua_settable, lua_State, lua_toboolean, lua_tolstring, lua_tonumber, lua_type, luaL_argerror,
    luaL_checkinteger, luaL_checklstring, luaL_checkstack, luaL_error, luaL_optinteger, set_function,
)

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    KEEP_BYTES = 64 * 1024                # a buffer above this is given back
    MOST_LEVELS = 16
    EVERYTHING = 2147483647

cdef struct Reader:
    const unsigned char* at
    size_t left

cdef Buffer output


# Packing


cdef void put_big_endian(unsigned char tag, uint64_t value, int size) noexcept nogil:
    cdef unsigned char text[9]
    cdef int i
    text[0] = tag
    for i in range(size, 0, -1):
        text[i] = <unsigned char>(value & 255)
        value >>= 8
    buffer_append(&output, <const char*>text, <size_t>(size + 1))


cdef void put_integer(int64_t value) noexcept nogil:
    if value >= 0:
        if value <= 127:
            buffer_append_byte(&output, <unsigned char>value)
        elif value <= 0xFF:
            put_big_endian(0xCC, <uint64_t>value, 1)
        elif value <= 0xFFFF:
            put_big_endian(0xCD, <uint64_t>value, 2)
        elif value <= UINT32_MAX:
            put_big_endian(0xCE, <uint64_t>value, 4)
        else:
            put_big_endian(0xCF, <uint64_t>value, 8)
    elif value >= -32:
        buffer_append_byte(&output, <unsigned char>(value & 255))
    elif value >= -128:
        put_big_endian(0xD0, <uint64_t>value, 1)
    elif value >= -32768:
        put_big_endian(0xD1, <uint64_t>value, 2)
    elif value >= -2147483648:
        put_big_endian(0xD2, <uint64_t>value, 4)
    else:
        put_big_endian(0xD3, <uint64_t>value, 8)


cdef void put_number(double number) noexcept nogil:
    cdef float small
    cdef uint32_t small_bits
    cdef uint64_t bits
    if -9223372036854775808.0 <= number < 9223372036854775808.0 and floor(number) == number:
        put_integer(<int64_t>number)
        return
    small = <float>number
    if <double>small == number:
        memcpy(&small_bits, &small, 4)
        put_big_endian(0xCA, small_bits, 4)
    else:
        memcpy(&bits, &number, 8)
        put_big_endian(0xCB, bits, 8)


cdef void put_text(const char* text, size_t size) noexcept nogil:
    if size < 32:
        buffer_append_byte(&output, <unsigned char>(0xA0 | size))
    elif size <= 0xFF:
        put_big_endian(0xD9, size, 1)
    elif size <= 0xFFFF:
        put_big_endian(0xDA, size, 2)
    else:
        put_big_endian(0xDB, size, 4)
    buffer_append(&output, text, size)


cdef void put_count(size_t count, unsigned char small, unsigned char large) noexcept nogil:
    """The head of an array or a map."""
    if count <= 15:
        buffer_append_byte(&output, <unsigned char>(small | count))
    elif count <= 0xFFFF:
        put_big_endian(large, count, 2)
    else:
        put_big_endian(large + 1, count, 4)


cdef bint is_array(lua_State* L, size_t* count) noexcept:
    """Whether the keys of the table at the top are 1 to count, which counts them in any case."""
    cdef double key, most = 0
    cdef bint whole = True
    count[0] = 0
    lua_pushnil(L)
    while lua_next(L, -2):
        lua_pop(L, 1)
        count[0] += 1
        key = lua_tonumber(L, -1) if lua_type(L, -1) == LUA_TNUMBER else 0
        if not 1 <= key <= 2147483647 or floor(key) != key:
            whole = False
        elif key > most:
            most = key
    return whole and most == <double>count[0]


cdef void put_table(lua_State* L, int level) noexcept:
    cdef size_t count, i
    luaL_checkstack(L, 5, b"in function cmsgpack.pack")
    if is_array(L, &count):
        put_count(count, 0x90, 0xDC)
        for i in range(1, count + 1):
            lua_rawgeti(L, -1, <int>i)
            put_value(L, level + 1)
        return
    put_count(count, 0x80, 0xDE)
    lua_pushnil(L)
    while lua_next(L, -2):
        lua_pushvalue(L, -2)
        put_value(L, level + 1)
        put_value(L, level + 1)


cdef void put_value(lua_State* L, int level) noexcept:
    """The value at the top, which goes."""
    cdef size_t size
    cdef const char* text
    cdef int kind = lua_type(L, -1)
    if kind == LUA_TSTRING:
        text = lua_tolstring(L, -1, &size)
        put_text(text, size)
    elif kind == LUA_TNUMBER:
        put_number(lua_tonumber(L, -1))
    elif kind == LUA_TBOOLEAN:
        buffer_append_byte(&output, 0xC3 if lua_toboolean(L, -1) else 0xC2)
    elif kind == LUA_TTABLE and level < MOST_LEVELS:
        put_table(L, level)
    else:
        buffer_append_byte(&output, 0xC0)
    lua_pop(L, 1)


cdef int msgpack_pack(lua_State* L) noexcept:
    cdef int count = lua_gettop(L), i
    if count == 0:
        return luaL_argerror(L, 0, b"MessagePack pack needs input.")
    luaL_checkstack(L, 1, b"Too many arguments for MessagePack pack.")
    output.length = 0
    if output.capacity > KEEP_BYTES:
        buffer_release(&output)
    for i in range(1, count + 1):
        lua_pushvalue(L, i)
        put_value(L, 0)
    lua_pushlstring(L, output.data, output.length)
    return 1


# Unpacking


cdef void need(lua_State* L, Reader* reader, size_t size) noexcept:
    if reader.left < size:
        luaL_error(L, b"Missing bytes in input.")


cdef inline void advance(Reader* reader, size_t size) noexcept nogil:
    reader.at += size
    reader.left -= size


cdef uint64_t take_big_endian(lua_State* L, Reader* reader, size_t size) noexcept:
    cdef uint64_t value = 0
    cdef size_t i
    need(L, reader, size)
    for i in range(size):
        value = value << 8 | reader.at[i]
    advance(reader, size)
    return value


cdef void take_text(lua_State* L, Reader* reader, size_t size) noexcept:
    need(L, reader, size)
    lua_pushlstring(L, <const char*>reader.at, size)
    advance(reader, size)


cdef void take_array(lua_State* L, Reader* reader, size_t count) noexcept:
    cdef size_t i
    luaL_checkstack(L, 3, b"in function mp_decode_to_lua_array")
    lua_createtable(L, 0, 0)
    for i in range(1, count + 1):
        take_value(L, reader)
        lua_rawseti(L, -2, <int>i)


cdef void take_map(lua_State* L, Reader* reader, size_t count) noexcept:
    luaL_checkstack(L, 4, b"in function mp_decode_to_lua_hash")
    lua_createtable(L, 0, 0)
    while count:
        take_value(L, reader)
        take_value(L, reader)
        lua_settable(L, -3)
        count -= 1


cdef void take_float(lua_State* L, Reader* reader) noexcept:
    cdef uint32_t bits = <uint32_t>take_big_endian(L, reader, 4)
    cdef float value
    memcpy(&value, &bits, 4)
    lua_pushnumber(L, value)


cdef void take_double(lua_State* L, Reader* reader) noexcept:
    cdef uint64_t bits = take_big_endian(L, reader, 8)
    cdef double value
    memcpy(&value, &bits, 8)
    lua_pushnumber(L, value)


cdef void take_value(lua_State* L, Reader* reader) noexcept:
    cdef unsigned char tag
    need(L, reader, 1)
    luaL_checkstack(L, 1, b"too many return values at once; use unpack_one or unpack_limit instead.")
    tag = reader.at[0]
    advance(reader, 1)
    if tag <= 0x7F:
        lua_pushnumber(L, tag)
    elif tag >= 0xE0:
        lua_pushnumber(L, <int8_t>tag)
    elif tag <= 0x8F:
        take_map(L, reader, tag & 15)
    elif tag <= 0x9F:
        take_array(L, reader, tag & 15)
    elif tag <= 0xBF:
        take_text(L, reader, tag & 31)
    elif tag == 0xC0:
        lua_pushnil(L)
    elif tag == 0xC2 or tag == 0xC3:
        lua_pushboolean(L, tag & 1)
    elif tag == 0xCA:
        take_float(L, reader)
    elif tag == 0xCB:
        take_double(L, reader)
    elif 0xCC <= tag <= 0xCF:
        # The largest of them reads as signed: Redis's scripts see it so.
        lua_pushnumber(L, <double><int64_t>take_big_endian(L, reader, <size_t>1 << (tag - 0xCC)))
    elif tag == 0xD0:
        lua_pushnumber(L, <int8_t>take_big_endian(L, reader, 1))
    elif tag == 0xD1:
        lua_pushnumber(L, <int16_t>take_big_endian(L, reader, 2))
    elif tag == 0xD2:
        lua_pushnumber(L, <int32_t>take_big_endian(L, reader, 4))
    elif tag == 0xD3:
        lua_pushnumber(L, <double><int64_t>take_big_endian(L, reader, 8))
    elif 0xD9 <= tag <= 0xDB:
        take_text(L, reader, take_big_endian(L, reader, <size_t>1 << (tag - 0xD9)))
    elif tag == 0xDC or tag == 0xDD:
        take_array(L, reader, take_big_endian(L, reader, 2 if tag == 0xDC else 4))
    elif tag == 0xDE or tag == 0xDF:
        take_map(L, reader, take_big_endian(L, reader, 2 if tag == 0xDE else 4))
    else:
        luaL_error(L, b"Bad data format in input.")


cdef int unpack_some(lua_State* L, int limit, int offset) noexcept:
    cdef Reader reader
    cdef size_t size
    cdef const char* text = luaL_checklstring(L, 1, &size)
    cdef int count = 0
    cdef bint all = limit == 0 and offset == 0
    if offset < 0 or limit < 0:
        return luaL_error(L, b"Invalid request to unpack with offset of %d and limit of %d.", offset, <int>size)
    if <size_t>offset > size:
        return luaL_error(L, b"Start offset %d greater than input length %d.", offset, <int>size)
    if all:
        limit = EVERYTHING
    reader.at = <const unsigned char*>text + offset
    reader.left = size - <size_t>offset
    while reader.left and count < limit:
        take_value(L, &reader)
        count += 1
    if not all:
        luaL_checkstack(L, 1, b"too many results")
        lua_pushnumber(L, -1 if reader.left == 0 else <double>(size - reader.left))
        lua_insert(L, -count - 1)
        count += 1
    return count


cdef int msgpack_unpack(lua_State* L) noexcept:
    return unpack_some(L, 0, 0)


cdef int msgpack_unpack_one(lua_State* L) noexcept:
    return unpack_some(L, 1, <int>luaL_optinteger(L, 2, 0))


cdef int msgpack_unpack_limit(lua_State* L) noexcept:
    cdef int limit = <int>luaL_checkinteger(L, 2)
    return unpack_some(L, limit, <int>luaL_optinteger(L, 3, 0))


cdef void put_word(lua_State* L, const char* name, const char* word) noexcept:
    lua_pushstring(L, word)
    lua_setfield(L, -2, name)


cdef void open_msgpack(lua_State* L) noexcept:
    lua_createtable(L, 0, 8)
    set_function(L, b"pack", msgpack_pack)
    set_function(L, b"unpack", msgpack_unpack)
    set_function(L, b"unpack_one", msgpack_unpack_one)
    set_function(L, b"unpack_limit", msgpack_unpack_limit)
    put_word(L, b"_NAME", b"cmsgpack")
    put_word(L, b"_VERSION", b"lua-cmsgpack 0.4.0")
    put_word(L, b"_DESCRIPTION", b"MessagePack C implementation for Lua")
    lua_setfield(L, -2, b"cmsgpack")
