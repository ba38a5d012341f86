"""Libraries of functions for the comparison with redis-server: what FUNCTION LOAD is given, and calls."""

from __future__ import annotations

HEAD = "#!lua name=lib\n"
REGISTER = "redis.register_function"
PLAIN = "function(keys, args) return {keys, args} end"

# One attempt to load each; the libraries are flushed after it.
SOURCES = [
    "x", "", "#!\n", "#!lua", "#!lua\nx", "#!lua name=lib", "#!lua name=a-b\nx", "#!lua name=\nx", '#!lua name="li\nb',
    "#!lua name=lib foo=bar\nreturn 1", "#!lua name=lib name=x\nreturn 1", "#!js name=lib\nreturn 1", "#! name=lib\nreturn 1", "#!lua  name=lib  \n",
    f'#!LUA NAME="lib"\n{REGISTER}("f", {PLAIN})',
    *(HEAD + body for body in (
        "", "return 1", "if", "a = 1", "return b", 'error("x")', 'error({err = "y"})', "local t = nil; t.x = 1", "return KEYS",
        'redis.call("ping")', "redis.setresp(3)", 'redis.sha1hex("a")', 'redis.error_reply("x")', "redis.breakpoint()",
        "math.random()", "cjson.encode({})", "os.clock()", "return redis.REDIS_VERSION", 'return ("a"):rep(2)', "while true do end",
        "getmetatable(_G)", "redis.math.random()", "redis.redis.call('ping')", "redis.x = 1", "_G.a = 1", "local r = redis return r.call('ping')",
        f"{REGISTER}()", f"{REGISTER}(1)", f"{REGISTER}({{}})", f'{REGISTER}("f")', f'{REGISTER}("f", 1)', f'{REGISTER}("a", "b", "c")',
        f"{REGISTER}(1, {PLAIN})", f"{REGISTER}({{}}, {PLAIN})", f"{REGISTER}(nil, {PLAIN})", f"{REGISTER}('a\\0b', {PLAIN})", f'{REGISTER}("f-1", {PLAIN})', f'{REGISTER}("", {PLAIN})',
        f'{REGISTER}("f", {PLAIN}) {REGISTER}("F", {PLAIN})', f'local r = redis {REGISTER}("f", {PLAIN}) r.log(2, "from a library")',
        f'{REGISTER}{{function_name = "f", callback = {PLAIN}, flags = {{"x"}}}}', f'{REGISTER}{{function_name = "f", callback = {PLAIN}, flags = {{1}}}}',
        f'{REGISTER}{{function_name = "f", callback = {PLAIN}, flags = "x"}}', f'{REGISTER}{{function_name = "f", callback = {PLAIN}, foo = 1}}',
        f'{REGISTER}{{function_name = "f", callback = {PLAIN}, [1] = 1}}', f"{REGISTER}{{callback = {PLAIN}}}", f'{REGISTER}{{function_name = "f"}}',
        f'{REGISTER}{{function_name = "f", callback = 2}}', f"{REGISTER}{{function_name = {{}}, callback = {PLAIN}}}",
        f'{REGISTER}{{function_name = "f", callback = {PLAIN}, description = {{}}}}',
        f'{REGISTER}{{function_name = "f", callback = {PLAIN}, description = 1, flags = {{"NO-WRITES", "allow-stale"}}}}',
    )),
]  # fmt: skip

LIBRARY = """#!lua name=all
local function add(name, callback, flags) redis.register_function{function_name = name, callback = callback, flags = flags or {}} end
local count, at_load, version = 0, redis, redis.REDIS_VERSION
redis.register_function('Plain', function(keys, args) return {keys, args} end)
add('get', function(keys) return redis.call('GET', keys[1]) end, {'no-writes', 'allow-stale'})
add('set', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
add('only_reads', function(keys) return redis.call('SET', keys[1], 1) end, {'no-writes'})
add('count', function() count = count + 1 return count end)
add('raises', function() error('x') end)
add('raises_table', function() error({err = 'MY x'}) end)
add('unknown', function() return redis.call('nosuch') end)
add('caught', function() return redis.pcall('nosuch') end)
add('error_reply', function() return redis.error_reply('My error') end)
add('writes_global', function() a = 1 end)
add('reads_global', function() return a end)
add('registers', function() redis.register_function('z', function() end) end)
add('keeps_registering', function() at_load.register_function('z', function() end) end)
add('changes_what_loading_sees', function() at_load.redis = redis end)
add('calls_by_what_loading_sees', function() return at_load.call('PING') end)
add('same_version', function() return tostring(version == redis.REDIS_VERSION) end)
add('keys', function() return KEYS end)
add('arguments', function(...) return {#{...}, type((...)), ...} end)
add('map', function() redis.setresp(3) return {map = {a = 1}} end)
add('double', function() return {double = 1.5} end)
add('json', function(keys, args) return cjson.encode(cjson.decode(args[1])) end)
add('number', function(keys, args) return tonumber(args[1]) end)
"""
CALLS = [
    "Plain 1 k a b", "plain 0", "Plain 2 k", "Plain -1", "Plain x", "nosuch x", "nosuch 0", "get 1 k", "set 1 k v", "get 1 k",
    "only_reads 1 k", "count 0", "count 0", "raises 0", "raises_table 0", "unknown 0", "caught 0", "error_reply 0", "writes_global 0",
    "reads_global 0", "registers 0", "keeps_registering 0",
    "changes_what_loading_sees 0", "calls_by_what_loading_sees 0",   "same_version 0", "keys 0", "arguments 1 a b", "map 0", "double 0", 'json 0 {"a":[1,2,null]}', "number 0 3.99", "Plain",
]  # fmt: skip
OTHER_FUNCTION = "#!lua name=other\nredis.register_function('PLAIN', function() end)"
REQUESTS = [
    "FUNCTION LIST", "FUNCTION LIST LIBRARYNAME A*", "FUNCTION LIST WITHCODE LIBRARYNAME none", "FUNCTION LIST foo",
    "FUNCTION LIST LIBRARYNAME", "FUNCTION LIST LIBRARYNAME a LIBRARYNAME b", "FUNCTION LIST WITHCODE WITHCODE",
    "FUNCTION STATS", "FUNCTION STATS x", "FUNCTION DELETE nosuch", "FUNCTION DELETE", "FUNCTION KILL", "FUNCTION FLUSH foo",
    "FUNCTION FLUSH SYNC x", "FUNCTION RESTORE abc", "FUNCTION RESTORE abc foo", "FUNCTION RESTORE abc APPEND x", "FUNCTION foo",
    "FUNCTION", "FUNCTION DUMP x", "FUNCTION HELP", "FUNCTION LOAD foo bar", "FUNCTION LOAD REPLACE", "FUNCTION LOAD",
    "COMMAND GETKEYSANDFLAGS FCALL f 2 a b c", "COMMAND GETKEYS FCALL_RO f 0",
]  # fmt: skip
