"""A mixed random load of all types, for tests that only need data."""

from __future__ import annotations

import random

import redis


def fill(client: redis.Redis, seed: int, commands: int = 3000) -> None:
    """Write keys of every type and encoding, with expiry, deletes and transactions, in two databases."""
    source = random.Random(seed)
    pipe = client.pipeline(transaction=False)
    for number in range(commands):
        key = f"key:{source.randrange(200)}"
        text = source.choice(["", "short", "12345", "-7", "x" * source.randrange(1, 300), "compress me " * 20])
        binary = bytes(source.choices(range(256), k=source.randrange(40)))
        choice = source.randrange(18)
        if choice == 0:
            pipe.set(f"string:{key}", binary, px=source.choice([None, 10_000_000]))
        elif choice == 1:
            pipe.append(f"string:{key}", text)
        elif choice == 2:
            pipe.incrby(f"counter:{key}", source.randrange(-1000, 1000))
        elif choice == 3:
            pipe.rpush(f"list:{key}", *[text] * source.randrange(1, 30))
        elif choice == 4:
            pipe.lpop(f"list:{key}")
        elif choice == 5:
            pipe.sadd(f"ints:{key}", *source.sample(range(-(10**12), 10**12), source.randrange(1, 40)))
        elif choice == 6:
            pipe.sadd(f"set:{key}", binary, text, str(source.random()))
        elif choice == 7:
            pipe.spop(f"set:{key}")
        elif choice in (8, 9):
            pipe.hset(f"hash:{source.randrange(3)}", f"field:{source.randrange(900)}", text)
            pipe.hset(f"smallhash:{key}", mapping={"a": binary, "n": number})
        elif choice == 10:
            pipe.hincrbyfloat(f"smallhash:{key}", "f", source.random())
        elif choice == 11:
            pipe.zadd(f"zset:{source.randrange(3)}", {f"member:{source.randrange(900)}": source.uniform(-1e6, 1e6)})
        elif choice == 12:
            pipe.zadd(f"smallzset:{key}", {text[:30]: source.randrange(100), binary: float("inf")})
        elif choice == 13:
            pipe.expire(f"hash:{source.randrange(3)}", 100_000)
            pipe.zpopmin(f"smallzset:{key}")
        elif choice == 14:
            pipe.delete(f"string:{key}")
            pipe.execute_command("SELECT", source.choice([0, 0, 3]))
        elif choice == 15:
            stream = f"stream:{source.randrange(4)}"
            pipe.xadd(stream, {text[:20]: binary, "n": number}, id=f"{seed}000{number}-*" if source.random() < 0.5 else "*",
                      maxlen=source.choice([None, None, 150]))  # fmt: skip
            pipe.xdel(stream, f"{seed}000{source.randrange(number + 1)}-0")
            pipe.xtrim(stream, maxlen=120) if source.random() < 0.1 else pipe.xlen(stream)
        elif choice == 16:
            stream, group = f"stream:{source.randrange(4)}", f"group{source.randrange(3)}"
            pipe.xgroup_create(stream, group, source.choice(["0", "$"]), mkstream=True)
            pipe.xreadgroup(group, f"consumer{source.randrange(3)}", {stream: ">"}, count=source.randrange(1, 9))
            pipe.xautoclaim(stream, group, "claimer", 0, count=2)
            pipe.execute_command("XACK", stream, group, f"{seed}000{source.randrange(number + 1)}-0")
        else:
            pipe.execute_command("MULTI")
            pipe.set(f"t:{key}", text)
            pipe.incr(f"t:count:{source.randrange(5)}")
            pipe.execute_command("EXEC")
    pipe.execute_command("SELECT", 0)
    pipe.execute(raise_on_error=False)
