"""Lua 5.1 scripts: their interpreter, what they may see, and the conversion between its values and those of commands.

How a script runs. `Interpreter` (interpreter.pyx) owns one Lua state. A script runs inside `lua_pcall`; `redis.call` takes its
arguments from the Lua stack, runs the command in the dispatcher as a command inside EVAL, and pushes what it returned.

Errors of Lua leave by longjmp, which skips whatever lies between: no Python object may live in a frame that it crosses. Hence:

- What Lua calls is a pair. The outer function holds no Python object and may raise; the inner one, written with objects, never
  raises in Lua: it leaves the error on the stack and says so in its result, and the outer one raises it.
- While an inner function runs, the allocator grants whatever Lua asks for (`Vm.unfailing`); the limit is looked at afterwards, by
  the outer function. So Lua cannot run out of memory, its one error that any push may raise, below Python's frames.
- Room on Lua's stack is asked for with `lua_checkstack` before it is used.
"""
