"""Server: a store with clients. It puts the network's parts around the store together and keeps all of it going."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rotomdb.commands import load_all
from rotomdb.commands.dispatch import Dispatcher
from rotomdb.commands.registry import REGISTRY, CommandSpec
from rotomdb.engine import Engine
from rotomdb.engine.memory import used_memory
from rotomdb.errors import CommandError, ConfigError, LoadingInterrupted, RotomError
from rotomdb.server import process
from rotomdb.server.accepting import Accepting
from rotomdb.server.acl_log import AclLog
from rotomdb.server.blocking import Blocking
from rotomdb.server.busy_scripts import BusyScripts
from rotomdb.server.client import Client, Hub, flush_all
from rotomdb.server.client_limits import ClientLimits
from rotomdb.server.config import Config
from rotomdb.server.crash_report import CrashReport
from rotomdb.server.directives_serving import HZ_MAX
from rotomdb.server.foreign_requests import ForeignRequests
from rotomdb.server.info import render as render_info
from rotomdb.server.listeners import Listener, listen_tcp, listen_unix
from rotomdb.server.loading import served_while_loading
from rotomdb.server.logger import Logger
from rotomdb.server.memory_report import MemoryReport, memory_report
from rotomdb.server.monitors import Monitors
from rotomdb.server.notifications import Notifications
from rotomdb.server.pausing import Pausing
from rotomdb.server.process import DEFAULT_PID_FILE, become_child, run_on
from rotomdb.server.protected_commands import with_protection
from rotomdb.server.pubsub import PubSub
from rotomdb.server.reactor import Handler, Reactor
from rotomdb.server.replication.replication import Replication
from rotomdb.server.runtime_config import RuntimeConfig
from rotomdb.server.shutdown import Shutdown, manner_of
from rotomdb.server.slow_log import SlowLog
from rotomdb.server.tls import TLS
from rotomdb.server.tracking import Tracking
from rotomdb.server.users import Users
from rotomdb.storage.aof_options import FsyncPolicy
from rotomdb.storage.child import Job
from rotomdb.storage.disk import SNAPSHOT_MODE, Disk
from rotomdb.storage.inheritance import known, leave_others
from rotomdb.storage.machine import Machine
from rotomdb.storage.persistence import Persistence
from rotomdb.store.settings import THRESHOLD_MAX_US
from rotomdb.store.store import Store

LOADED_BY = ("appendonly", "dir", "dbfilename")  # directives that say what the data set is loaded from
CLIENTS_PER_TICK = 200  # beyond which dynamic-hz makes the ticks more
CRON_RETRY_MS = 100  # after a tick that raised
REPORT_EVERY_S = 1.0


@dataclass
class Statistics:
    """Counters of INFO stats that no other part keeps."""

    started: float = 0.0
    connections: int = 0
    rejected_connections: int = 0
    errors: int = 0
    query_limit_disconnections: int = 0
    output_limit_disconnections: int = 0
    peak_memory: int = 0
    startup_memory: int = 0  # used before the data was loaded
    ops_per_second: int = 0
    input_kbps: float = 0.0
    output_kbps: float = 0.0


class Server(Hub):
    def __init__(
        self,
        config: Config,
        *,
        disk: Disk | None = None,
        log: Logger | None = None,
        specs: Iterable[CommandSpec] | None = None,
        machine: Machine | None = None,
    ) -> None:
        """Put a server together.

        Args:
            disk, machine: What a simulation puts in the place of the real ones.
            specs: Its commands, by default all of the registry.
        """
        load_all()
        self.config = config
        self.log = log or Logger(config["loglevel"], config["logfile"])
        self.runtime_config = RuntimeConfig(self)
        self.reactor = Reactor()
        self.reactor.report = self.report_failure
        self.reported: dict[str, float] = {}  # traceback -> when the log was told of it
        self.store: Store = Store(
            config,
            self.log,
            disk=disk,
            machine=machine,
            specs=with_protection(REGISTRY.values() if specs is None else specs, config),
            moves_process=lambda: process.runs_server,
        )
        # What the server asks at every turn, and commands ask it for.
        self.engine: Engine = self.store.engine
        self.dispatcher: Dispatcher = self.store.dispatcher
        self.persistence: Persistence = self.store.persistence
        self.scripting, self.latency, self.backups = self.store.scripting, self.store.latency, self.store.backups
        self.expire_cycle = self.store.expire_cycle
        if config.renamed_commands:
            self.dispatcher.rename(config.renamed_commands)
        self.dispatcher.server = self
        self.dispatcher.on_error = self.count_error
        self.dispatcher.on_internal_error = self.internal_error
        self.dispatcher.on_unknown = ForeignRequests(self.log).check
        self.acl_log = AclLog()
        self.users: Users = Users(self)
        self.dispatcher.on_denied = self.users.denied
        self.persistence.in_child = self.enter_child
        self.held: list[Client] = []  # clients with replies that must not leave before what they tell is on disk
        self.run_id = secrets.token_hex(20)
        self.clients: dict[int, Client] = {}
        self.accepting = Accepting(self)
        self.tls = TLS(config, self.log)
        self.listeners: list[Listener] = []
        self.own_files: dict[Path, str] = {}  # path -> what it is: those that go with the server
        self.wakeups: list[Wakeup] = []
        self.pubsub = PubSub()
        self.client_limits = ClientLimits(self)
        self.tracking = Tracking(self.dispatcher)
        self.tracking.by_id = self.clients
        self.monitors = Monitors(self.dispatcher)
        self.pausing = Pausing(self.dispatcher, self.reactor)
        self.blocking = Blocking(self.dispatcher, self.reactor)
        self.slow_log = SlowLog()
        self.dispatcher.on_slow = self.slow_log.record
        self.statistics = Statistics(started=time.time(), startup_memory=used_memory())
        self.error_counts: dict[str, int] = {}
        self.checks_payloads = True  # of RESTORE, before their values are decoded
        self.freeing = False
        self.turning_back = False  # `go_on` is about to be called
        self.exit_status = 0
        self.ending = Shutdown(self)
        self.crashes = CrashReport(self)
        self.replication = Replication(self)
        self.busy_scripts = BusyScripts(self)
        self.sampled = (time.monotonic(), 0, 0, 0)
        self.ticks = 0
        self.hz: int = config["hz"]
        known.add(self)
        self.apply_config()

    # Configuration

    def apply_config(self) -> None:
        """Bring the parts in line with the values in force."""
        config = self.config
        self.store.apply_settings()
        self.apply_notifications(Notifications(self.pubsub, config["notify-keyspace-events"]))
        self.acl_log.resize(config["acllog-max-len"])
        self.client_limits.apply(config)
        self.replication.apply_config()
        self.tracking.max_keys = config["tracking-table-max-keys"] or 1 << 62
        self.dispatcher.latency_tracking = config["latency-tracking"]
        self.dispatcher.slowlog_threshold_us = min(config["slowlog-log-slower-than"], THRESHOLD_MAX_US)
        self.max_bulk_bytes = config["proto-max-bulk-len"]
        self.max_query_bytes = config["client-query-buffer-limit"]
        self.log.level = config["loglevel"]
        self.slow_log.resize(config["slowlog-max-len"])
        self.slow_log.most_arguments = config["slowlog-entry-max-argc"]
        self.slow_log.longest_argument = config["slowlog-entry-max-string-len"]

    def apply_notifications(self, notifications: Notifications) -> None:
        self.dispatcher.on_event = notifications.notify if notifications.any else None
        wants_new = notifications.any and notifications.new_keys
        self.engine.new_keys = (self.engine.new_keys or []) if wants_new else None
        self.engine.on_miss = self.dispatcher.missed if notifications.any and notifications.misses else None

    def refuse_while_loading(self, names: Iterable[str]) -> None:
        """Raises CommandError when one of the directives cannot change before the data set is there."""
        for name in names:
            if self.dispatcher.loading and name in LOADED_BY:
                raise CommandError(
                    f"ERR CONFIG SET failed (possibly related to argument '{name}') - can't be changed while the data set is "
                    "being loaded"
                )

    def config_changed(self) -> None:
        self.apply_config()
        self.hold_replies()
        self.store.refresh_write_error()

    def change_appendonly(self, wanted: bool) -> None:
        if wanted:
            self.persistence.enable_log()
        else:
            self.persistence.disable_log()

    # Life

    def start(self) -> bool:
        """Listen, and load the data; False: the server was told to end while it was loading, and has.

        Raises what stands in the way; nothing on disk is changed then.
        """
        self.reactor.before_sleep = self.before_sleep
        self.reactor.after_sleep = self.dispatcher.update_clock
        try:
            self.users.load()
            # First of all the port: one that is taken is found before any file is made.
            self.listen_tcp()
            self.store.data_directory.enter()
            self.listen_unix()
            self.write_pid_file()
            self.log("notice", "Server initialized")
            with served_while_loading(self):
                self.load()
        except LoadingInterrupted:
            self.stop()
            return False
        except (RotomError, OSError):
            self.close_connections()
            raise
        self.reactor.call_later(1, self.cron, retry_ms=CRON_RETRY_MS)
        self.replication.begin()
        self.wake_after_syncs()
        return True

    def listen_tcp(self) -> None:
        """Raises ConfigError; nothing is listened on then."""
        config = self.config
        if config["tls-port"]:
            try:
                self.tls.configure()
            except ConfigError:
                raise ConfigError("Failed to configure TLS. Check logs for more info.") from None
        for name, secure in (("port", False), ("tls-port", True)):
            try:
                self.replace_listeners(config["bind"], config[name], secure=secure)
            except ConfigError as error:
                self.log("warning", f"Warning: {error}")
                raise ConfigError(
                    f"Failed listening on port {config[name]} ({'TLS' if secure else 'TCP'}), aborting."
                ) from None

    def replace_listeners(self, addresses: tuple[str, ...], port: int, *, secure: bool = False) -> None:
        """Listen on these TCP addresses and no others. Raises ConfigError; what was listened on before stays then.

        Args:
            secure: Of the addresses that speak TLS; the others stay as they are.
        """
        config = self.config
        sockets = listen_tcp(addresses, port, config["tcp-backlog"], config["socket-mark-id"]) if port else []
        self.stop_listening(secure=secure)
        for listening in sockets:
            if secure:
                listener = Listener(
                    listening, self.accepting.accept_secure, self.reactor, self.log, secure=True,
                    at_once=lambda: int(config["max-new-tls-connections-per-cycle"]),
                )  # fmt: skip
            else:
                listener = Listener(listening, self.accepting.accept, self.reactor, self.log)
            self.listeners.append(listener)

    def stop_listening(self, *, secure: bool) -> None:
        """Close the TCP sockets that clients connect to, with TLS or without."""
        for listener in [each for each in self.listeners if each.socket.family != socket.AF_UNIX]:
            if listener.secure == secure:
                self.listeners.remove(listener)
                listener.close()

    def listen_unix(self) -> None:
        config = self.config
        if config["unixsocket"]:
            unix = listen_unix(
                config["unixsocket"], config["unixsocketperm"], config["unixsocketgroup"], config["tcp-backlog"]
            )
            self.listeners.append(Listener(unix, self.accepting.accept, self.reactor, self.log))
            self.own_files[Path(config["unixsocket"]).absolute()] = "unix socket"

    def write_pid_file(self) -> None:
        path = self.config["pidfile"] or (DEFAULT_PID_FILE if self.config["daemonize"] else "")
        if path:
            try:
                file = self.persistence.disk.create(Path(path), SNAPSHOT_MODE)
                self.own_files[Path(path).absolute()] = "pid"
                with contextlib.closing(file):
                    file.write_all(b"%d\n" % os.getpid())
            except OSError as error:
                self.log("warning", f"Failed to write PID file: {error.strerror}")

    def wake_after_syncs(self) -> None:
        """The thread that syncs the log wakes the loop up, so that the replies that waited leave at once."""
        wakeup = Wakeup(self.reactor)
        self.wakeups.append(wakeup)
        self.persistence.aof.sync_thread.on_done = wakeup.wake
        self.persistence.aof.sync_thread.on_start = lambda: run_on(self.config["bio-cpulist"])

    def load(self) -> None:
        """Load the data and open the log. Raises what stands in the way."""
        self.store.load()
        self.hold_replies()

    def cron_while_loading(self) -> None:
        """What of the periodic task has nothing to do with the data set."""
        self.client_limits.close_idle()
        self.client_limits.tick()
        self.statistics.peak_memory = max(self.statistics.peak_memory, used_memory())

    def replayer(self) -> Callable[[list[bytes]], None]:
        return self.store.replayer()

    def run(self) -> int:
        """Serve until shutdown; returns the exit status."""
        self.reactor.run()
        return self.exit_status

    def before_sleep(self) -> None:
        """Writes reach the log before the replies that acknowledge them leave."""
        if self.closing_clients:
            self.close_marked()
        if self.dispatcher.ready:  # by what no command did, or while clients were paused
            self.dispatcher.serve_waiting()
        while self.resumable and self.dispatcher.busy is None:  # what waited runs behind a script that takes long
            clients, self.resumable = self.resumable, []
            for client in clients:
                client.resume()
        aof = self.persistence.aof
        if not aof.settled:
            self.store.flush_log()
        if self.replication.backlog is not None:
            self.replication.pump()  # behind the log: what replicas have, a process that is killed has on disk
        self.released_offset = aof.acknowledged_offset
        if self.dispatcher.watch_unsynced:
            self.sync_target = aof.sync_target_offset
        if self.held:
            clients, self.held = self.held, []
            flush_all(clients)
        if self.tracking.pending:
            self.tracking.send_broadcasts()
        if self.engine.garbage_objects and not self.freeing:
            self.freeing = True
            self.reactor.call_later(0, self.free_garbage, retry_ms=CRON_RETRY_MS)
        if self.pending_writes:
            clients, self.pending_writes = self.pending_writes, []
            flush_all(clients)
        if self.memory_watched and self.clients_memory > self.clients_limit:
            self.client_limits.evict()
        if self.closing_clients:
            self.close_marked()
        if self.yielded and not self.turning_back:
            self.turning_back = True
            self.reactor.call_later(0, self.go_on)

    def go_on(self) -> None:
        """Clients that made much output in the last turn go on with their requests."""
        self.turning_back = False
        clients, self.yielded = self.yielded, []
        for client in clients:
            client.go_on()

    def close_marked(self) -> None:
        clients, self.closing_clients = self.closing_clients, []
        for client in clients:
            self.close_client(client)

    def hold_replies(self) -> None:
        """Settle whether replies may have to wait for the disk."""
        aof = self.persistence.aof
        self.holding = aof.on
        # Under `always` what was read may have to wait, too: it must not be seen before it is safe.
        watched = aof.on and not aof.waiting and aof.options.policy is FsyncPolicy.ALWAYS
        self.reactor.gathering = watched
        self.engine.watch_unsynced(watched)
        self.dispatcher.watch_unsynced = watched
        self.sync_target = -1

    def hold(self, client: Client) -> None:
        self.held.append(client)

    def free_garbage(self) -> int | None:
        """Free deleted data for a moment; returns the ms to the next time."""
        self.freeing = self.store.collect_garbage()
        return 1 if self.freeing else None

    def cron(self) -> int:
        """The periodic task; returns the ms to the next. A part that fails keeps no other from its turn."""
        if self.dispatcher.loading:
            return CRON_RETRY_MS  # of a replica that loads its master's data set: what can be done then has a timer of its own
        self.ticks += 1
        self.adapt_hz()
        parts = [
            self.ending.answer_signal, self.persistence.cron, self.replication.cron, self.backups.cron,
            self.store.flush_log, self.store.refresh_write_error,
            self.hold_replies,  # a log that was being turned on may be on now
            self.store.rehash_some, self.expire_some, self.client_limits.tick,
        ]  # fmt: skip
        if self.ticks % self.hz == 0:
            parts += [
                self.persistence.aof.reserve.watch,
                self.replication.each_second,
                self.client_limits.each_second,
                self.sample_rates,
                self.tls.watch_files,
            ]
        for part in parts:
            try:
                part()
            except Exception as error:
                self.report_failure(f"the periodic task ({part.__qualname__})", error)
        return 1000 // self.hz

    def adapt_hz(self) -> None:
        """How often the periodic task runs: as `hz` says, more often with many clients where `dynamic-hz` is on."""
        self.hz = self.config["hz"]
        while self.config["dynamic-hz"] and len(self.clients) // self.hz > CLIENTS_PER_TICK and self.hz < HZ_MAX:
            self.hz = min(self.hz * 2, HZ_MAX)

    def expire_some(self) -> None:
        if not self.pausing.active:
            self.store.expire_some(1 / self.hz)

    def sample_rates(self) -> None:
        then, commands, received, sent = self.sampled
        now = time.monotonic()
        elapsed = max(now - then, 0.001)
        self.statistics.ops_per_second = int((self.dispatcher.commands_processed - commands) / elapsed)
        self.statistics.input_kbps = (self.input_bytes - received) / elapsed / 1024
        self.statistics.output_kbps = (self.output_bytes - sent) / elapsed / 1024
        self.statistics.peak_memory = max(self.statistics.peak_memory, used_memory())
        self.sampled = (now, self.dispatcher.commands_processed, self.input_bytes, self.output_bytes)

    def enter_child(self, kind: Job) -> None:
        """In a child that saves: the sockets are the parent's, and so are other servers of the process."""
        self.store.enter_child(kind)
        become_child(self.config, kind)
        for listener in self.listeners:
            listener.socket.close()
        leave_others(self)

    def leave_to_parent(self) -> None:
        """In a process made by fork that is no child of ours: nothing here is for it (storage/inheritance.py)."""
        self.store.leave_to_parent()
        self.reactor.close()  # first: what is closed behind it must not be taken out of the poller, which is the parent's too
        for listener in self.listeners:
            listener.socket.close()
        for client in self.clients.values():
            client.socket.close()
        for wakeup in self.wakeups:
            wakeup.reading.close()
            wakeup.writing.close()

    # Clients

    def close_client(self, client: Client) -> None:
        """End a connection. Raises nothing: whatever fails, the client is gone after it."""
        if client.closed:
            return
        self.clients.pop(client.id, None)
        self.reactor.remove(client.handler)
        for forget in (
            Client.discard, self.pubsub.drop, self.tracking.disable, self.monitors.drop, self.blocking.release,
            self.pausing.drop, self.replication.drop, self.accepting.drop,
        ):  # fmt: skip
            try:
                forget(client)
            except Exception as error:
                self.report_failure("closing a client", error)
        if client.channel is not None:
            client.channel.end()
        if self.persistence.child is not None:
            # The child holds a copy of the descriptor: without this the peer would see the end only when it exits.
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
        client.release()

    def disconnect(self, number: int) -> None:
        self.close_client(self.clients[number])

    def unblock(self, number: int, *, with_error: bool) -> bool:
        client = self.clients.get(number)
        return client is not None and self.blocking.unblock(client, with_error=with_error)

    def report_failure(self, what: str, error: Exception) -> None:
        """Something raised where nobody could answer for it: the log is told, once a second at the most of one trouble."""
        trace = "".join(traceback.format_exception(error))
        now = time.monotonic()
        if now - self.reported.get(trace, -REPORT_EVERY_S) < REPORT_EVERY_S:
            return
        if len(self.reported) > 100:
            self.reported.clear()
        self.reported[trace] = now
        self.log.trace("warning", f"internal error in {what}, going on:", trace)

    def secured(self, client: Client) -> None:
        self.accepting.secured(client)

    def input_ended(self, client: Client) -> None:
        self.reactor.call_later(0, client.end_input)

    def want_write(self, client: Client, wanted: bool) -> None:
        self.reactor.want_write(client.handler, wanted)

    def protocol_error(self, client: Client, reason: bytes) -> None:
        self.log(
            "verbose", f"Protocol error ({reason.decode('latin-1')}) from client: id={client.id} addr={client.address}"
        )

    def handler_failed(self, client: Client, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        heading = f"internal error while serving id={client.id} addr={client.address}, closing it:"
        self.log.trace("warning", heading, trace)
        client.close_soon()

    def connection_lost(self, client: Client, code: int, writing: bool) -> None:
        reason = os.strerror(code) if code else "Connection closed by the peer"
        if client.channel is not None and client.channel.failure:
            reason = client.channel.failure
        if client.channel is not None and not client.channel.established:
            self.accepting.handshake_failed(client, reason)
        elif code == 0:
            self.log("verbose", f"Client closed connection id={client.id} addr={client.address}")
        else:
            doing = "Error writing to client" if writing else "Reading from client"
            self.log("verbose", f"{doing}: {reason}")
        self.close_client(client)

    def query_buffer_exceeded(self, client: Client) -> None:
        self.log(
            "warning", f"Closing client that reached max query buffer length: id={client.id} addr={client.address}"
        )
        self.statistics.query_limit_disconnections += 1
        self.close_client(client)

    def output_limit_overcome(self, client: Client, soon: bool) -> None:
        self.client_limits.overcome(client, soon)

    def evict_clients(self) -> None:
        self.client_limits.evict()

    def internal_error(self, trace: str) -> None:
        self.log.trace("warning", "internal error in a command:", trace)

    def count_error(self, text: str) -> None:
        self.statistics.errors += 1
        code = text.split(" ", 1)[0]
        if len(self.error_counts) < 128 or code in self.error_counts:
            self.error_counts[code] = self.error_counts.get(code, 0) + 1

    # What commands ask of the server

    def info(self, sections: tuple[bytes, ...]) -> str:
        return render_info(self, sections)

    def memory_report(self) -> MemoryReport:
        return memory_report(self)

    def reset_statistics(self) -> None:
        """CONFIG RESETSTAT."""
        before = self.statistics
        self.statistics = Statistics(started=before.started, startup_memory=before.startup_memory)
        self.expire_cycle.reset_counters()
        self.error_counts.clear()
        self.engine.hits = self.engine.misses = self.engine.expired = self.engine.expired_fields = 0
        self.store.memory_limits.evicted_keys = self.client_limits.evicted = 0
        self.input_bytes = self.output_bytes = self.reads = self.writes = 0
        self.dispatcher.commands_processed = 0
        self.sampled = (time.monotonic(), 0, 0, 0)
        self.persistence.aof.delayed_fsyncs = 0
        for entry in self.dispatcher.commands.values():
            for command in (entry, *(entry.subcommands or {}).values()):
                command.reset_counters()

    # Shutdown

    def install_signals(self) -> None:
        self.ending.install_signals()
        wakeup = SignalWakeup(self)
        self.wakeups.append(wakeup)
        signal.set_wakeup_fd(wakeup.writing.fileno(), warn_on_full_buffer=False)

    def shutdown(self, *words: str) -> None:
        """Save what has to be saved and stop.

        Args:
            words: As of the SHUTDOWN command, in lower case: save, nosave, now, force.

        Raises:
            ValueError: no such words. SaveError, and CommandError while a script is busy: the end is refused. Everything goes
                on then.
        """
        manner = manner_of(words)
        if self.dispatcher.busy is not None and manner.save is not False:
            raise CommandError(self.dispatcher.busy)  # there is no data to save in the middle of a command
        self.ending.run(manner)

    def stop(self) -> None:
        """Close sockets and leave the loop."""
        self.close_connections()
        self.log("notice", "rotomdb is now ready to exit, bye bye...")
        self.reactor.stopping = True

    def close_connections(self) -> None:
        """Let go of everything that others see of the server."""
        for listener in self.listeners:
            listener.close()
        for path, kind in self.own_files.items():
            self.log("notice", f"Removing the {kind} file.")
            self.persistence.disk.discard(path)
        if self.replication.link is not None:
            self.replication.link.end()
        for client in list(self.clients.values()):
            client.flush_pending()
            self.close_client(client)
        for wakeup in self.wakeups:
            wakeup.close()
        self.store.close()


class Wakeup(Handler):
    """A pair of sockets: what is written to one end, from a thread or a signal, makes the loop take its next turn."""

    def __init__(self, reactor: Reactor) -> None:
        self.reading, self.writing = socket.socketpair()
        for end in (self.reading, self.writing):
            end.setblocking(False)
        super().__init__(self.reading.fileno())
        self.reactor = reactor
        reactor.add(self)

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: the loop is about to wake up anyway
            self.writing.send(b"w")

    def readable(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # nothing there, or nothing that matters: what counts is that the loop woke up
            self.reading.recv(64)

    def close(self) -> None:
        self.reactor.remove(self)
        self.reading.close()
        self.writing.close()


class SignalWakeup(Wakeup):
    """As Wakeup, for a signal, which is handled right then."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.reactor)
        self.server = server

    def readable(self) -> None:
        super().readable()
        self.server.ending.answer_signal()

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        super().close()
