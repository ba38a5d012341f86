from rotomdb.scripting.lua_api cimport lua_State

# Everything below may raise errors of Lua: inside lua_cpcall or lua_pcall only.

# Fill the table at the top, which becomes the globals of the state, with what a script may use of Lua's own libraries.
cdef void open_libraries(lua_State* L) noexcept
# In place of the table at the top: one that shows its fields and takes none.
cdef void protect(lua_State* L) noexcept
# An __index that knows nothing: it raises the error of a global that is not there.
cdef int refuse_unknown(lua_State* L) noexcept
# Protect the tables that are fields of the one at the top, and give the state it as its globals, protected, too.
cdef void close_globals(lua_State* L) noexcept
# Compile; bytecode is refused as what it is not: text. The result is lua_load's.
cdef int load_text(lua_State* L, const char* text, size_t size, const char* name) noexcept
# The error that Lua raises when it is called with the message at the top; never returns.
cdef int raise_plainly(lua_State* L, const char* message) noexcept
