"""What happens when memory is short: keys are evicted (`maxmemory`). Clients are the subject of server/client_limits.py."""

from __future__ import annotations

import time

from rotomdb.commands.arguments import INT64_MAX
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.host import Configuration
from rotomdb.engine.eviction import Evictor
from rotomdb.engine.memory import used_memory

EVICTION_SLICE_S = 0.0005  # with the default tenacity of 10
GARBAGE_SLICE_US = 1000
SAMPLES_MAX = 64  # Redis 8's limit; versions before took any number, and were slow with it


class MemoryLimits:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.engine = dispatcher.engine
        self.evictor = Evictor(self.engine)
        self.policy = "noeviction"
        self.slice_s = EVICTION_SLICE_S
        self.evicted_keys = 0
        dispatcher.make_room = self.make_room

    def apply(self, config: Configuration) -> None:
        """Follow the directives in force."""
        policy = config["maxmemory-policy"]
        if policy != self.policy:
            self.policy = policy
            self.evictor.set_policy(policy)
        self.evictor.samples = min(config["maxmemory-samples"], SAMPLES_MAX)
        tenacity = config["maxmemory-eviction-tenacity"]
        self.slice_s = EVICTION_SLICE_S * (tenacity / 10 if tenacity <= 10 else 1.15 ** (tenacity - 10))
        if tenacity == 100:
            self.slice_s = float("inf")
        engine = self.engine
        engine.lfu = policy.endswith("lfu")
        engine.access_written = policy.rpartition("-")[2].encode() if policy.endswith(("lru", "lfu")) else b""
        engine.lfu_log_factor = config["lfu-log-factor"]
        engine.lfu_decay_time = config["lfu-decay-time"]
        ignored = self.dispatcher.follows and config["replica-ignore-maxmemory"]  # the master evicts, and says what
        self.dispatcher.memory_limit = 0 if ignored else min(config["maxmemory"], INT64_MAX)

    def make_room(self) -> bool:
        """Evict until the data fits or a slice of time is over; False when nothing can be evicted any more."""
        if self.dispatcher.postpones is not None:
            return True  # CLIENT PAUSE: the data stays as it is
        limit = self.dispatcher.memory_limit
        end = time.monotonic() + self.slice_s
        while used_memory() - self.not_counted() > limit:
            if self.engine.garbage_objects:
                self.engine.collect_garbage(GARBAGE_SLICE_US)
            else:
                victim = self.evictor.victim()
                if victim is None:
                    return False
                index, key = victim
                self.engine.databases[index].evict(key)
                self.evicted_keys += 1
                self.dispatcher.key_evicted(index, key)
            if time.monotonic() > end:
                break  # the rest comes with the next commands
        return True

    def not_counted(self) -> int:
        """Memory that evicting keys cannot make less, but more: what waits to be written to the log."""
        return self.dispatcher.stream.buffer_bytes
