"""Scripts one line each, for two servers: the language, the sandbox, `redis.*`, and conversions of values; the libraries."""

from __future__ import annotations

SAMPLES = r"""
x = 1
return x
redis.call = nil
return type(tostring(getmetatable('')))
rawset(redis, 'a', 1)
setmetatable(_G, {})
setmetatable(redis, {})
table.insert(redis, 1)
table.insert(redis, 3, 1)
return redis.call('nosuch')
return redis.call('get')
return redis.call('multi')
return redis.call('config')
return redis.call('config','nosuch')
return redis.pcall('incr', 'a', 'b')
return redis.pcall('nosuch')
return redis.call('set', 'a', 'xx')
return redis.call('incr', 'a')
local t = redis.pcall('incr','a') local r = {} for k,v in pairs(t) do r[#r+1]=k..tostring(v) end return r
return redis.error_reply('My Err')
return redis.error_reply('-My Err')
return redis.error_reply('Err')
return redis.error_reply(1,2)
return redis.status_reply('fine')
return redis.status_reply(1)
return {err='bar baz'}
return {ok='fine'}
error('boom')
error({err='My Table'})
error()
error(nil)
error(12)
return {1,2,nil,4}
return 3.99
return -3.99
return true
return false
return nil
return redis.sha1hex('')
return redis.sha1hex('abc')
return redis.sha1hex(12)
return redis.sha1hex()
return redis.log(1)
return redis.log(9,'x')
return redis.log('a','x')
return redis.setresp(4)
return redis.setresp()
return redis.set_repl(9)
return redis.set_repl(0)
return redis.replicate_commands()
return redis.breakpoint()
return redis.debug('a')
return redis.call()
return redis.call(nil)
return redis.call({})
return redis.call('set','a',{})
return redis.call('set','a',true)
return redis.pcall()
return redis.pcall('set','a',true)
return {redis.REPL_ALL, redis.REPL_AOF, redis.REPL_NONE, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.LOG_DEBUG, redis.LOG_WARNING}
local a,b = loadstring(string.dump(function() return 1 end)) return b
local a,b = loadstring('x x') return b
local a,b = load(function() return nil end) return type(a)
local n = 0 local a,b = load(function() n=n+1 if n==1 then return 'return ' elseif n==2 then return '42' end end) return a()
local n = 0 local a,b = load(function() n=n+1 if n==1 then return string.dump(function() return 1 end) end end, 'nm') return b
print('x')
local a = nil; return a.b
syntax error here
return redis.register_function('a', function() end)
return redis.call('set','f',1e15) and redis.call('get','f')
return redis.call('set','f',1e100) and redis.call('get','f')
return redis.call('set','f',-17) and redis.call('get','f')
return redis.call('set','f',0.5) and redis.call('get','f')
return tostring(1e15)..tostring(0.1)..tostring(1/3)
return {double=3.5}
return {double='x'}
return {map={a=1}}
return {map={a={1,2,{ok='x'}}}}
return {big_number='123'}
return {big_number=123}
return {verbatim_string={format='txt',string='xx'}}
return {verbatim_string={format='tx',string='xx'}}
return {verbatim_string={format='txt'}}
return {verbatim_string={string='txt'}}
return {set={a=true}}
return {set={a=false,[1]=3}}
return {1,{2,{3,{4}}},'x',true,false}
math.randomseed(7) return tostring(math.random())..' '..tostring(math.random(100))..' '..tostring(math.random(5,10))
math.randomseed(-7) return tostring(math.random())..' '..tostring(math.random(100))..' '..tostring(math.random(-5,10))
math.randomseed(1e9) return tostring(math.random())..' '..tostring(math.random(100))..' '..tostring(math.random(-5,10))
return math.random(0)
return math.random(3,1)
return math.random(1,2,3)
return math.random('x')
local t = {} for i=1,9000 do t[i]=i end return #{unpack(t)}
local function f() return f() + 1 end return f()
return string.rep('x',10,'y')
return {KEYS, ARGV}
KEYS = 1
return rawget(_G,'KEYS')
return _G.redis == redis
return _G._G == _G
pcall(function() error('x') end) return 1
local a,b = pcall(error, 'x') return b
local a,b = pcall(function() error('x') end) return b
local a,b = pcall(redis.call, 'nosuch') return b
local a,b = pcall(function() return redis.call('incr','a') end) return b
local a,b = pcall(error, {err='x'}) return b
local a,b = pcall(error, {erx='x'}) return type(b)
return {pcall(function(...) return select('#',...), ... end, 1,2,nil)}
return redis.REDIS_API
return next(redis) ~= nil
return redis.nosuch
return #redis
return string.nosuch
string.nosuch = 1
KEYS[1] = 'x' return KEYS[1]
getmetatable('').__index = nil
return getmetatable('').__index == string
local t = setmetatable({}, {__index=function() error('in index') end}) return t.x
return redis.call('get','a','b','c')
return redis.pcall('blpop','nolist',0)
return type(redis.call('time'))
table.sort(redis)
table.remove(string)
return rawget(redis,'call') ~= nil
return {ok=1}
return {err=1}
return {ok='a\r\nb'}
return {err='a\r\nb'}
return {err='a', ok='b'}
local a = {} for k,v in pairs(string) do a[#a+1]=k end table.sort(a) return a
local a = {} for k,v in pairs(math) do a[#a+1]=k end table.sort(a) return a
local a = {} for k,v in pairs(table) do a[#a+1]=k end table.sort(a) return a
return collectgarbage('count') > 0
return collectgarbage()
collectgarbage('stop') return 1
return collectgarbage('x')
return gcinfo() > 1
error('x', 0)
error('x', 2)
local t = {} t[nil] = 1
return 'a' + 1
return 'a' .. {}
local x = function() return redis.call('nosuch') end return x()
return xpcall(function() error('x') end, function(e) return e..'y' end)
return select(2, xpcall(function() error('x') end, function(e) return e..'y' end))
return tostring(print)
return math.huge
return 0/0
return 1e300
return redis.call('SET','x','1','EX',1.0)
return redis.setresp(3), redis.call('hgetall','nohash')
redis.setresp(3) redis.call('hset','h','a','1') return redis.call('hgetall','h')
redis.setresp(3) redis.call('sadd','s','a') return redis.call('smembers','s')
redis.setresp(3) redis.call('zadd','z','1.5','a') return redis.call('zrange','z',0,-1,'withscores')
redis.call('zadd','z','1.5','a') return redis.call('zrange','z',0,-1,'withscores')
redis.setresp(3) return redis.call('get','nokey')
redis.setresp(3) return redis.call('get','nokey') == nil
return redis.call('get','nokey') == false
redis.setresp(3) return true
redis.setresp(3) return false
redis.setresp(3) return nil
redis.setresp(3) return {true,false,1}
redis.setresp(3) return redis.call('zscore','z','a')
return redis.call('zscore','z','a')
redis.setresp(3) return redis.call('config','get','maxmemory')
redis.setresp(3) return {map={[true]=false}}
redis.call('select',3) redis.call('set','indb3','x') return redis.call('get','indb3')
return redis.call('get','indb3')
redis.call('select',99)
redis.call('rpush','l',1,2,3) return redis.call('lrange','l',0,-1)
return redis.call('lrange','l',0)
return redis.call('type','l')
return redis.call('type','l').ok
return redis.call('ping').ok
return redis.call('ping')
return redis.call('mget','a','nokey')
return redis.call('sort','l','desc')
redis.call('sadd','letters','c','b','a','aa') return redis.call('sort','letters','by','_')
return redis.call('sort','letters','by','_','desc','limit',1,2)
return redis.call('xread','block',0,'streams','none','$')
return redis.pcall('xreadgroup','group','g','c','block',0,'streams','none','>')
return redis.pcall('lpush','a','x')
return redis.call('lpush','a','x')
return redis.pcall('lpush','a','x').err
local ok, e = pcall(redis.call,'lpush','a','x') return {ok, e}
local ok, e = pcall(redis.pcall,'lpush','a','x') return {ok, e}
return {redis.pcall('lpush','a','x'), 1}
return redis.call('eval','return 1',0)
return redis.call('script','load','x')
return redis.call('subscribe','x')
return redis.call('publish','x','y')
return redis.call('auth','x')
return redis.call('watch','x')
return redis.call('blpop','x',0)
return redis.call('brpoplpush','x','y',0)
return redis.call('client','id')
return redis.call('client','list')
return redis.call('echo','a\0b')
return {err='a\0b'}
return {ok='a\0b'}
return 'a\0b'
return redis.sha1hex('a\0b')
return redis.error_reply('a\0b')
local co = coroutine.create(function(a) local b = coroutine.yield(a+1) return redis.call('set','co',b) end) local _,x = coroutine.resume(co, 1) local _,y = coroutine.resume(co,'v') return {x,y,redis.call('get','co')}
local co = coroutine.wrap(function() error('in co') end) return co()
local co = coroutine.wrap(function() return redis.call('nosuch') end) return co()
local co = coroutine.create(function() return redis.call('nosuch') end) local a,b = coroutine.resume(co) return b
return coroutine.yield(1)
return table.concat({1,2,3},',')
return table.concat({1,{},3},',')
local t={3,1,2} table.sort(t) return t
local t={3,1,2} table.sort(t,function(a,b) return a>b end) return t
local t={3,'x',2} table.sort(t) return t
table.insert({1},2,3,4)
table.insert(nil,2)
local t={1,2,3} table.insert(t,2,'x') return t
local t={1,2,3} table.insert(t,9,'x') return {t[9],#t}
local t={1,2,3} table.insert(t,'x') return t
local t={} table.insert(t,0,'x') return t[0]
rawset(1,2,3)
rawset({},nil,3)
rawget(1,2)
rawget({})
next(1)
next({},'x')
pairs(1)
setmetatable(1,{})
setmetatable({},1)
setmetatable({})
getmetatable()
return getmetatable({})
return getmetatable(setmetatable({},{__metatable='m'}))
setmetatable(setmetatable({},{__metatable='m'}),{})
local t = setmetatable({},{__call=function(self,a) return a*2 end}) return t(4)
local t = setmetatable({},{__tostring=function(self) return 'ts' end}) return tostring(t)
error(setmetatable({},{__tostring=function(self) return 'ts' end}).x)
return ('x'):rep(3)
return ('%5.2f|%d|%s|%q|%x'):format(3.14159, 42, 'str', 'a"b\n', 255)
return string.format('%s', {}) ~= nil
return string.format('%d', 'x')
return string.format('%y', 1)
return string.find('hello world', 'o w')
return {string.find('hello world', '(o)(%s)(w)')}
return string.gsub('hello', 'l', {l='L'})
return {string.gsub('hello', 'l', function(x) return nil end)}
return string.gsub('hello', '(', 'x')
return string.byte('abc', 1, -1)
return {string.byte('abc', 1, -1)}
return string.char(65,66,300)
return string.char(65,66)
return tonumber('0x10')
return tonumber('z',36)
return tonumber('1e2')
return tonumber('abc') == nil
return tonumber('10', 99)
return tostring(nil)..tostring(true)..tostring(1)
return type(nil)
return type()
return select('#',1,2,3)
return select(-1,1,2,3)
return select(0,1)
return unpack({1,2,3})
return {unpack({1,2,3},2)}
return {unpack({1,2,3},2,5)}
assert(false)
assert(false,'msg')
assert(nil,{err='tbl'})
return assert(1,2)
return math.floor(3.7)
return math.max(1,5,3)
return math.max()
return math.fmod(7,3)
return math.pow(2,10)
return #ARGV
return ARGV[1]..KEYS[2]
return 10/3
return 2^53
return 2^63
return -2^63
return 2^64
for i=1,3 do redis.call('incr','cnt') end return redis.call('get','cnt')
return redis.call('incrbyfloat','fl','0.1')
return redis.call('incrby','cnt',2.0)
return redis.call('incrby','cnt',2.5)
return redis.call(1)
return redis.call('set','n',12345678901234567)
return redis.call('get','n')
return redis.call('set','n',1/0) and redis.call('get','n')
return redis.call('set','n',-1/0) and redis.call('get','n')
do local a <const> = 1 end
goto x
return 1 2
return function() end
return coroutine.create(function() end)
return redis
return string
return _G ~= nil
return (function(...) return ... end)(1,2)
local t = {} t.x = t return #t
local t = {} for i=1,5 do t={t} end return t
return tostring(2^31), 1
return 'x' < 'y'
return 1 < 'x'
return {} < {}
return -{}
return #nil
local a a()
nosuch()
redis.nosuch()
string.nosuch('x')
return ('x'):nosuch()
local a = {} a.b.c = 1
return math.huge > 1
return ({...})[1]
return select('#', ...)
""".strip().splitlines()

LIBRARY_SAMPLES = r"""
return cjson.encode({1,2,3})
return cjson.encode({})
return cjson.encode({a=1})
return cjson.encode({[1]=1,[2]=2,[20]=3})
return cjson.encode({[1]=1,[2]=2,[5]=3})
return cjson.encode({[1]=1,[3]=3})
return cjson.encode({[1.5]=1})
return cjson.encode({[true]=1})
return cjson.encode({[-1]=1})
return cjson.encode('a"b\\c/d\n\t\r\b\f\1\127\200')
return cjson.encode(1/3)
return cjson.encode(1e100)
return cjson.encode(12345678901234567)
return cjson.encode(0/0)
return cjson.encode(1/0)
return cjson.encode(function() end)
return cjson.encode({function() end})
return cjson.encode(nil)
return cjson.encode(cjson.null)
return cjson.encode(true)
return cjson.encode()
return cjson.encode(1,2)
local t={} for i=1,999 do t={t} end return #cjson.encode(t)
local t={} for i=1,1000 do t={t} end return #cjson.encode(t)
local t={} t[1]=t return cjson.encode(t)
return cjson.decode('[1,2,3]')
return cjson.decode('{"a":1}').a
return cjson.decode('[]')
return cjson.decode('')
return cjson.decode('[')
return cjson.decode('[1')
return cjson.decode('[1,')
return cjson.decode('[1,]')
return cjson.decode('{')
return cjson.decode('{"a"')
return cjson.decode('{"a":')
return cjson.decode('{"a":1')
return cjson.decode('{"a":1,')
return cjson.decode('{"a":1,}')
return cjson.decode('{1:1}')
return cjson.decode('x')
return cjson.decode('tru')
return cjson.decode('true')
return cjson.decode('null') == cjson.null
return cjson.decode('truex')
return cjson.decode('1 2')
return cjson.decode('"abc')
return cjson.decode('"a\\x"')
return cjson.decode('"\\u00e9\\ud83d\\ude00"')
return cjson.decode('"\\ud83d"')
return cjson.decode('"\\ude00"')
return cjson.decode('"\\u12"')
return cjson.decode('"\\b\\t\\n\\f\\r\\/\\\\\\""')
return cjson.decode('1.5e3')
return cjson.decode('0x10')
return cjson.decode('-')
return cjson.decode('01')
return tostring(cjson.decode('inf'))
return tostring(cjson.decode('NaN'))
return cjson.decode('-1')
return cjson.decode('+1')
return cjson.decode(' [ 1 , {"b" : [true,false,null]} ] ')
return cjson.decode(string.rep('[',1000)..string.rep(']',1000)) ~= nil
return cjson.decode(string.rep('[',1001)..string.rep(']',1001)) ~= nil
return cjson.decode(12)
return cjson.decode({})
return cjson.decode()
return {cjson.encode_sparse_array()}
return cjson.encode_max_depth()
return cjson.encode_number_precision()
return tostring(cjson.null)
return #cmsgpack.pack({1,2,3})
return cmsgpack.pack(1,'a',true,nil,{1,2},{a=1},1.5,-1,-33,-129,-40000,-3e9,200,300,70000,5e9,1e20,0.1)
return cmsgpack.pack()
return cmsgpack.pack({})
return cmsgpack.pack({[1]=1,[3]=2})
return cmsgpack.pack(string.rep('x',40))
return cmsgpack.pack(string.rep('x',300)):sub(1,5)
return cmsgpack.pack(string.rep('x',70000)):sub(1,6)
local t={} for i=1,20 do t[i]=i end return cmsgpack.pack(t)
local t={} for i=1,20 do t={t} end return cmsgpack.pack(t)
local t={} t[1]=t return cmsgpack.pack(t)
return cmsgpack.pack(function() end)
return cmsgpack.pack(1/0)..cmsgpack.pack(-1/0)
return {cmsgpack.unpack(cmsgpack.pack(1,'a',true,{1,2},1.5,-1,-33,-129,-40000,200,300,70000,5e9))}
return cmsgpack.unpack('\193')
return cmsgpack.unpack('\196\1a')
return cmsgpack.unpack('\146\1')
return cmsgpack.unpack('\221\255\255\255\255')
return cmsgpack.unpack('\163ab')
return cmsgpack.unpack('\129\192\1')
return {cmsgpack.unpack('')}
return {cmsgpack.unpack_one('\1\2\3')}
return {cmsgpack.unpack_one('\1\2\3',2)}
return {cmsgpack.unpack_one('\1\2\3',3)}
return {cmsgpack.unpack_one('\1\2\3',4)}
return {cmsgpack.unpack_one('\1\2\3',-1)}
return {cmsgpack.unpack_limit('\1\2\3',2)}
return {cmsgpack.unpack_limit('\1\2\3',2,1)}
return {cmsgpack.unpack_limit('\1\2\3',0)}
return {cmsgpack.unpack_limit('\1\2\3',0,1)}
return {cmsgpack.unpack_limit('\1\2\3')}
return cmsgpack.unpack(string.rep('\145',10000))
return cmsgpack.unpack({})
return struct.pack('>I2h<i4Bb',1,-2,3,255,-1)
return struct.pack('!4bi',1,2)
return struct.pack('d',1.5)..struct.pack('>f',0.1)
return struct.pack('s','abc')..struct.pack('c2','abc')..struct.pack('c0','abc')
return struct.pack('c5','abc')
return struct.pack('y',1)
return struct.pack('i33',1)
return struct.pack('i16',-1)
return struct.pack('i3',-2)
return struct.pack('!3i',1)
return struct.pack('I','x')
return struct.pack('i')
return struct.pack('xi2x',5)
return {struct.unpack('>I2h<i4Bb',struct.pack('>I2h<i4Bb',1,-2,3,255,-1))}
return {struct.unpack('I','ab')}
return {struct.unpack('s','ab\0cd')}
return {struct.unpack('s','ab')}
return {struct.unpack('Bc0','\3abcd')}
return {struct.unpack('c0','abcd')}
return {struct.unpack('Bc0','\9abcd')}
return {struct.unpack('B','abc',3)}
return {struct.unpack('B','abc',4)}
return {struct.unpack('B','abc',0)}
return {struct.unpack('i16',struct.pack('i16',-5))}
return {struct.unpack('<i3',struct.pack('<i3',-5))}
return struct.size('bi')
return struct.size('!bi')
return struct.size('!8bd')
return struct.size('s')
return struct.size('c0')
return struct.size('c10T')
return struct.size('y')
return struct.pack('L',2^53)..struct.pack('l',-2^53)..struct.pack('H',65537)
return {bit.tobit(0xffffffff),bit.bnot(0),bit.band(0xff,0x0f),bit.bor(1,2,4),bit.bxor(5,1)}
return {bit.lshift(1,31),bit.lshift(1,32),bit.rshift(-1,28),bit.arshift(-8,1),bit.rol(0x12345678,12),bit.ror(0x12345678,12),bit.bswap(0x12345678)}
return {bit.tohex(-1),bit.tohex(255,4),bit.tohex(255,-4),bit.tohex(1,0),bit.tohex(0xabcdef,-8)}
return bit.tobit('x')
return bit.band()
return bit.tobit(2^40+5)
return bit.tobit(1.7)
return cjson.decode('1"}')
return cjson.decode('[1 "a\\x"]')
return cmsgpack.unpack('\207\255\255\255\255\255\255\255\255')
""".strip().splitlines()
