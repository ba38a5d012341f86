"""The library `struct` of scripts: packed bytes to and from Lua, by a format as in C.

    < > !n     byte order; alignment to at most n            i I (with a size)  h H  l L  T  b B    integers
    f d        numbers                                       s      string up to a zero byte
    x          a byte of filling                             cn     n bytes; c0: as many as the value before it says

Nothing here holds a Python object, as all of it may raise errors of Lua; the bytes grow in a buffer that outlives the call.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from rotomdb.engine.buffer cimport Buffer, buffer_append, buffer_append_byte, buffer_release, buffer_reserve
from rotomdb.scripting.lua_api cimport (
    bind_lua, lua_createtable, lua_isnumber, lua_pop, lua_pushfstring, lua_pushlstring, lua_pushnil, lua_pushnumber,
    lua_setfield, lua_State, lua_tonumber, luaL_argerror, luaL_checklstring, luaL_checknumber, luaL_checkstack, luaL_error,
    luaL_optinteger, set_function,
)

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef enum:
    KEEP_BYTES = 64 * 1024                # a buffer above this is given back
    LONGEST_INTEGER = 32
    LARGEST_ALIGNMENT = 8
    LARGEST_COUNT = 2147483647

cdef struct Format:
    const char* at
    bint little
    size_t alignment

cdef Buffer output
cdef char[LONGEST_INTEGER] zeros           # of filling there are fewer: an option may stand at a multiple of its size at most


cdef size_t take_count(lua_State* L, Format* format, size_t otherwise) noexcept:
    """The digits that follow."""
    cdef size_t value = 0
    cdef size_t digit
    if not c'0' <= format.at[0] <= c'9':
        return otherwise
    while c'0' <= format.at[0] <= c'9':
        digit = <size_t>(format.at[0] - c'0')
        if value > (LARGEST_COUNT - digit) // 10:
            luaL_error(L, b"integral size overflow")
        value = value * 10 + digit
        format.at += 1
    return value


cdef bint is_integer(char option) noexcept nogil:
    return (option == c'b' or option == c'B' or option == c'h' or option == c'H' or option == c'l' or option == c'L'
            or option == c'T' or option == c'i' or option == c'I')


cdef size_t size_of(lua_State* L, Format* format, char option) noexcept:
    """Of what the option stands for; 0 where it has none of its own."""
    cdef size_t size
    if option == c'b' or option == c'B' or option == c'x':
        return 1
    if option == c'h' or option == c'H':
        return 2
    if option == c'f':
        return 4
    if option == c'l' or option == c'L' or option == c'T' or option == c'd':
        return 8
    if option == c'c':
        return take_count(L, format, 1)
    if option == c'i' or option == c'I':
        size = take_count(L, format, 4)
        if size > LONGEST_INTEGER:
            luaL_error(L, b"integral size %d is larger than limit of %d", <int>size, <int>LONGEST_INTEGER)
        return size
    return 0


cdef size_t filling(Format* format, char option, size_t size, size_t position) noexcept nogil:
    """Bytes up to where it may stand."""
    if size == 0 or option == c'c':
        return 0
    if size > format.alignment:
        size = format.alignment
    return (size - (position & (size - 1))) & (size - 1)


cdef void control(lua_State* L, Format* format, char option) noexcept:
    cdef size_t alignment
    if option == c'<':
        format.little = True
    elif option == c'>':
        format.little = False
    elif option == c'!':
        alignment = take_count(L, format, LARGEST_ALIGNMENT)
        if alignment == 0 or alignment & (alignment - 1):
            luaL_error(L, b"alignment %d is not a power of 2", <int>alignment)
        format.alignment = alignment
    elif option != c' ':
        luaL_argerror(L, 1, lua_pushfstring(L, b"invalid format option '%c'", <int>option))


cdef void put_bytes(uint64_t value, size_t size, bint little) noexcept nogil:
    """A number of at most 32 bytes; what is beyond its 8 is zero."""
    cdef unsigned char text[LONGEST_INTEGER]
    cdef size_t i
    for i in range(size):
        text[i if little else size - 1 - i] = <unsigned char>(value & 255)
        value >>= 8
    buffer_append(&output, <const char*>text, size)


cdef uint64_t as_bits(double number) noexcept nogil:
    """Of an integer; a number that none can hold becomes the least."""
    if number < 0:
        return <uint64_t>(<int64_t>number if number >= -9223372036854775808.0 else <int64_t>1 << 63)
    return <uint64_t>number if number < 18446744073709551616.0 else 0


cdef void put_float(double number, size_t size, bint little) noexcept nogil:
    cdef float small = <float>number
    cdef uint32_t small_bits
    cdef uint64_t bits
    if size == 4:
        memcpy(&small_bits, &small, 4)
        bits = small_bits
    else:
        memcpy(&bits, &number, 8)
    put_bytes(bits, size, little)


cdef void put_string(lua_State* L, int index, char option, size_t size) noexcept:
    cdef size_t length
    cdef const char* text = luaL_checklstring(L, index, &length)
    if size == 0:
        size = length
    if length < size:
        luaL_argerror(L, index + 1, b"string too short")          # counted so by the original
    buffer_append(&output, text, size)
    if option == c's':
        buffer_append_byte(&output, 0)


cdef int struct_pack(lua_State* L) noexcept:
    cdef Format format = Format(luaL_checklstring(L, 1, NULL), True, 1)
    cdef int index = 1
    cdef char option
    cdef size_t size
    lua_pushnil(L)                              # a value that is missing is nil in errors
    output.length = 0
    if output.capacity > KEEP_BYTES:
        buffer_release(&output)
    while format.at[0]:
        option = format.at[0]
        format.at += 1
        size = size_of(L, &format, option)
        buffer_append(&output, zeros, filling(&format, option, size, output.length))
        if is_integer(option):
            index += 1
            put_bytes(as_bits(luaL_checknumber(L, index)), size, format.little)
        elif option == c'x':
            buffer_append_byte(&output, 0)
        elif option == c'f' or option == c'd':
            index += 1
            put_float(luaL_checknumber(L, index), size, format.little)
        elif option == c'c' or option == c's':
            index += 1
            put_string(L, index, option, size)
        else:
            control(L, &format, option)
    lua_pushlstring(L, buffer_reserve(&output, 1) - output.length, output.length)
    return 1


cdef uint64_t take_bytes(const char* data, size_t size, bint little) noexcept nogil:
    cdef uint64_t value = 0
    cdef size_t i
    for i in range(size):
        value = value << 8 | <unsigned char>data[size - 1 - i if little else i]
    return value


cdef double take_integer(const char* data, size_t size, bint little, bint signed_) noexcept nogil:
    cdef uint64_t value = take_bytes(data, size, little)
    cdef uint64_t sign
    if not signed_:
        return <double>value
    if 0 < size < 8:
        sign = <uint64_t>1 << (size * 8 - 1)
        if value & sign:
            value |= ~(sign - 1)
    return <double><int64_t>value


cdef double take_float(const char* data, size_t size, bint little) noexcept nogil:
    cdef uint64_t bits = take_bytes(data, size, little)
    cdef uint32_t small_bits = <uint32_t>bits
    cdef float small
    cdef double number
    if size == 4:
        memcpy(&small, &small_bits, 4)
        return small
    memcpy(&number, &bits, 8)
    return number


cdef void check_room(lua_State* L, size_t position, size_t size, size_t length) noexcept:
    if size > length or position > length - size:
        luaL_argerror(L, 2, b"data string too short")


cdef int struct_unpack(lua_State* L) noexcept:
    cdef Format format = Format(luaL_checklstring(L, 1, NULL), True, 1)
    cdef size_t length, size, position
    cdef const char* data = luaL_checklstring(L, 2, &length)
    cdef const char* end
    cdef int64_t first = <int64_t>luaL_optinteger(L, 3, 1)
    cdef double count
    cdef int found = 0
    cdef char option
    if first <= 0:
        return luaL_argerror(L, 3, b"offset must be 1 or greater")
    position = <size_t>(first - 1)
    while format.at[0]:
        option = format.at[0]
        format.at += 1
        size = size_of(L, &format, option)
        position += filling(&format, option, size, position)
        check_room(L, position, size, length)
        luaL_checkstack(L, 2, b"too many results")
        if is_integer(option):
            lua_pushnumber(L, take_integer(data + position, size, format.little, c'a' <= option <= c'z'))
            found += 1
        elif option == c'f' or option == c'd':
            lua_pushnumber(L, take_float(data + position, size, format.little))
            found += 1
        elif option == c'c':
            if size == 0:
                if found == 0 or not lua_isnumber(L, -1):
                    return luaL_error(L, b"format 'c0' needs a previous size")
                count = lua_tonumber(L, -1)
                size = <size_t>count if 0 <= count <= LARGEST_COUNT else LARGEST_COUNT
                lua_pop(L, 1)
                found -= 1
                check_room(L, position, size, length)
            lua_pushlstring(L, data + position, size)
            found += 1
        elif option == c's':
            end = <const char*>memchr(data + position, 0, length - position)
            if end == NULL:
                return luaL_error(L, b"unfinished string in data")
            size = <size_t>(end - (data + position)) + 1
            lua_pushlstring(L, data + position, size - 1)
            found += 1
        elif option != c'x':
            control(L, &format, option)
        position += size
    lua_pushnumber(L, <double>position + 1)
    return found + 1


cdef int struct_size(lua_State* L) noexcept:
    cdef Format format = Format(luaL_checklstring(L, 1, NULL), True, 1)
    cdef size_t position = 0, size
    cdef char option
    while format.at[0]:
        option = format.at[0]
        format.at += 1
        size = size_of(L, &format, option)
        position += filling(&format, option, size, position)
        if option == c's':
            return luaL_argerror(L, 1, b"option 's' has no fixed size")
        if option == c'c' and size == 0:
            return luaL_argerror(L, 1, b"option 'c0' has no fixed size")
        if not (c'a' <= option <= c'z' or c'A' <= option <= c'Z' or c'0' <= option <= c'9'):
            control(L, &format, option)
        position += size
    lua_pushnumber(L, <double>position)
    return 1


cdef void open_struct(lua_State* L) noexcept:
    lua_createtable(L, 0, 3)
    set_function(L, b"pack", struct_pack)
    set_function(L, b"unpack", struct_unpack)
    set_function(L, b"size", struct_size)
    lua_setfield(L, -2, b"struct")
