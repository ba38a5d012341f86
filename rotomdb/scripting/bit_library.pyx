"""The library `bit` of scripts: operations on 32 bits. Nothing here holds a Python object, as all of it may raise errors of Lua."""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rotomdb.scripting.lua_api cimport (
    bind_lua, lua_createtable, lua_gettop, lua_pushlstring, lua_pushnumber, lua_setfield, lua_State, luaL_checknumber,
    set_function,
)

from rotomdb.scripting.lua_library import path_of_lua

cdef const char* trouble = bind_lua(path_of_lua())
if trouble != NULL:
    raise ImportError(trouble.decode())

cdef const char* LOWER = b"0123456789abcdef"
cdef const char* UPPER = b"0123456789ABCDEF"


cdef uint32_t argument(lua_State* L, int index) noexcept:
    """Any number modulo 2^32: behind this addition its low bits are those of the fraction."""
    cdef double shifted = luaL_checknumber(L, index) + 6755399441055744.0
    cdef uint64_t bits
    memcpy(&bits, &shifted, sizeof(bits))
    return <uint32_t>bits


cdef int result(lua_State* L, uint32_t value) noexcept:
    lua_pushnumber(L, <double><int32_t>value)
    return 1


cdef int bit_tobit(lua_State* L) noexcept:
    return result(L, argument(L, 1))


cdef int bit_bnot(lua_State* L) noexcept:
    return result(L, ~argument(L, 1))


cdef int bit_band(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    cdef int i
    for i in range(2, lua_gettop(L) + 1):
        value &= argument(L, i)
    return result(L, value)


cdef int bit_bor(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    cdef int i
    for i in range(2, lua_gettop(L) + 1):
        value |= argument(L, i)
    return result(L, value)


cdef int bit_bxor(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    cdef int i
    for i in range(2, lua_gettop(L) + 1):
        value ^= argument(L, i)
    return result(L, value)


cdef int bit_lshift(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    return result(L, value << (argument(L, 2) & 31))


cdef int bit_rshift(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    return result(L, value >> (argument(L, 2) & 31))


cdef int bit_arshift(lua_State* L) noexcept:
    cdef int32_t value = <int32_t>argument(L, 1)
    return result(L, <uint32_t>(value >> (argument(L, 2) & 31)))


cdef int bit_rol(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1), count = argument(L, 2) & 31
    return result(L, value << count | value >> ((32 - count) & 31))


cdef int bit_ror(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1), count = argument(L, 2) & 31
    return result(L, value >> count | value << ((32 - count) & 31))


cdef int bit_bswap(lua_State* L) noexcept:
    cdef uint32_t value = argument(L, 1)
    return result(L, value >> 24 | (value >> 8 & 0xff00) | (value << 8 & 0xff0000) | value << 24)


cdef int bit_tohex(lua_State* L) noexcept:
    cdef char text[8]
    cdef uint32_t value = argument(L, 1)
    cdef int32_t digits = 8 if lua_gettop(L) < 2 else <int32_t>argument(L, 2)
    cdef const char* alphabet = LOWER
    cdef int i
    if digits < 0:
        digits = -digits
        alphabet = UPPER
    if digits > 8 or digits < 0:
        digits = 8
    for i in range(digits - 1, -1, -1):
        text[i] = alphabet[value & 15]
        value >>= 4
    lua_pushlstring(L, text, <size_t>digits)
    return 1


cdef void open_bit(lua_State* L) noexcept:
    lua_createtable(L, 0, 12)
    set_function(L, b"tobit", bit_tobit)
    set_function(L, b"bnot", bit_bnot)
    set_function(L, b"band", bit_band)
    set_function(L, b"bor", bit_bor)
    set_function(L, b"bxor", bit_bxor)
    set_function(L, b"lshift", bit_lshift)
    set_function(L, b"rshift", bit_rshift)
    set_function(L, b"arshift", bit_arshift)
    set_function(L, b"rol", bit_rol)
    set_function(L, b"ror", bit_ror)
    set_function(L, b"bswap", bit_bswap)
    set_function(L, b"tohex", bit_tohex)
    lua_setfield(L, -2, b"bit")
