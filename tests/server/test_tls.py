"""TLS: who is let in, what goes through, what rude clients do, and certificates that change while the server runs.

One server serves most of these: it listens with TLS and without, as `tls-auth-clients` says at the time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import trustme
from cryptography.hazmat.primitives import serialization
from redis.backoff import NoBackoff
from redis.retry import Retry

import rotomdb
import rotomdb.rdb
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_words
from rotomdb.server.process import process_title
from tests.conftest import started_by
from tests.processes import ROOT, RedisServer, RotomServer, ServerProcess, free_port

WAIT_S = 20
HOST = "127.0.0.1"


@dataclass
class Certificates:
    """An authority of our own, a server's certificate and a client's of it; all as PEM files."""

    directory: Path

    def __post_init__(self) -> None:
        self.authority = trustme.CA()
        self.ca = self.put("ca.pem", self.authority.cert_pem)
        self.cert, self.key = self.pair("server", HOST)
        self.client_cert, self.client_key = self.pair("client", "client@example.org")
        self.stranger = trustme.CA()
        self.strange_ca = self.put("strange-ca.pem", self.stranger.cert_pem)

    def put(self, name: str, *blobs: trustme.Blob) -> str:
        path = self.directory / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    def pair(
        self, name: str, identity: str, authority: trustme.CA | None = None, common_name: str | None = None
    ) -> tuple[str, str]:
        made = (authority or self.authority).issue_cert(identity, common_name=common_name)
        return self.put(f"{name}.pem", *made.cert_chain_pems), self.put(f"{name}.key", made.private_key_pem)

    def arguments(self) -> list[str]:
        return ["--tls-cert-file", self.cert, "--tls-key-file", self.key, "--tls-ca-cert-file", self.ca]


class SecureServer(RotomServer):
    """A server that listens on a second port for TLS."""

    certificates: Certificates

    def __init__(self, directory: Path, *arguments: str) -> None:
        super().__init__(directory, *arguments)
        self.tls_port = free_port()

    def command(self) -> list[str]:
        return [*super().command(), "--tls-port", str(self.tls_port)]

    def secure_client(self, **options: object) -> redis.Redis:
        shown = {"ssl_ca_certs": self.certificates.ca, "retry": Retry(NoBackoff(), 0), **options}
        return redis.Redis(host=HOST, port=self.tls_port, ssl=True, **shown)  # type: ignore[arg-type]

    def as_client(self) -> dict[str, str]:
        return {"ssl_certfile": self.certificates.client_cert, "ssl_keyfile": self.certificates.client_key}

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.tls_port), WAIT_S)

    def secure(self, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
        """A connection inside TLS, without a client's certificate."""
        context = ssl.create_default_context(cafile=self.certificates.ca)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context.wrap_socket(self.connect(), server_hostname=HOST, suppress_ragged_eofs=False)

    def set(self, **directives: object) -> None:
        with self.client() as client:
            words = [str(word) for name, value in directives.items() for word in (name.replace("_", "-"), value)]
            client.execute_command("CONFIG", "SET", *words)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[SecureServer]:
    start: Iterator[Callable[..., SecureServer]] = started_by(SecureServer, tmp_path_factory.mktemp("tls"), "secure")
    for function in start:
        server = function(
            *certificates.arguments(), "--save", "", "--appendfsync", "always", "--loglevel", "verbose",
            "--max-new-tls-connections-per-cycle", "100",
        )  # fmt: skip
        server.certificates = certificates
        yield server


@pytest.fixture
def server(running: SecureServer) -> SecureServer:
    """Clients need no certificate, unless a test says so."""
    running.set(tls_auth_clients="no")
    return running


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def end_of(link: socket.socket) -> bytes:
    """What still comes until the peer closes the connection."""
    came = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while more := link.recv(65536):
            came += more
    return came


# Who is let in


def test_a_client_has_to_show_a_certificate_of_the_authority_unless_configured_otherwise(server: SecureServer) -> None:
    server.set(tls_auth_clients="yes")
    with pytest.raises(redis.ConnectionError), server.secure_client() as client:
        client.ping()
    strange_cert, strange_key = server.certificates.pair("strange", "x@example.org", server.certificates.stranger)
    with pytest.raises(redis.ConnectionError):
        server.secure_client(ssl_certfile=strange_cert, ssl_keyfile=strange_key).ping()
    with server.secure_client(**server.as_client()) as client:
        assert client.ping()
    until(lambda: "peer did not return a certificate" in server.log() and "certificate verify failed" in server.log())

    server.set(tls_auth_clients="optional")
    with server.secure_client() as client, server.secure_client(**server.as_client()) as known:
        assert client.ping()
        assert known.ping()
    with pytest.raises(redis.ConnectionError):
        server.secure_client(ssl_certfile=strange_cert, ssl_keyfile=strange_key).ping()


def test_a_client_that_trusts_another_authority_goes_away(server: SecureServer) -> None:
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        server.secure_client(ssl_ca_certs=server.certificates.strange_ca).ping()
    until(lambda: "unknown ca" in server.log())


def test_a_certificate_is_a_user_where_the_directive_says_so(server: SecureServer) -> None:
    server.set(tls_auth_clients="optional", tls_auth_clients_user="CN")
    with server.client() as admin:
        admin.acl_setuser("alice", enabled=True, passwords=["+secret"], commands=["+acl|whoami"])
        admin.acl_setuser("bob", enabled=False, nopass=True)
        for name, who in (("alice", b"alice"), ("bob", b"default"), ("nobody", b"default"), ("alice\0x", b"default")):
            cert, key = server.certificates.pair("user", "user@example.org", common_name=name)
            with server.secure_client(ssl_certfile=cert, ssl_keyfile=key) as client:
                assert client.execute_command("ACL", "WHOAMI") == who
                if who == b"alice":
                    with pytest.raises(redis.ResponseError, match="has no permissions"):
                        client.execute_command("PING")
        with server.secure_client() as client:
            assert client.acl_whoami() == "default"
        strange_cert, strange_key = server.certificates.pair("user", "x@y.org", server.certificates.stranger, "alice")
        with pytest.raises(redis.ConnectionError):
            server.secure_client(ssl_certfile=strange_cert, ssl_keyfile=strange_key).ping()
        admin.acl_deluser("alice", "bob")
    server.set(tls_auth_clients_user="off")


def test_redis_cli_speaks_tls(server: SecureServer, redis_tools: None) -> None:
    command = ["redis-cli", "-h", HOST, "-p", str(server.tls_port), "--tls", "--cacert", server.certificates.ca]
    assert subprocess.run([*command, "ECHO", "over TLS"], capture_output=True, text=True).stdout == "over TLS\n"


# What goes through


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_requests_and_replies_of_any_size_are_whole(server: SecureServer, version: str) -> None:
    with server.secure(ssl.TLSVersion[version.replace(".", "_")]) as link:
        assert link.version() == version
        stream = link.makefile("rwb")
        for size in (0, 1, 16383, 16384, 16385, 47 * 1024, 64 * 1024, 3_000_001):
            value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            stream.write(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%b\r\nGET key\r\n" % (size, value))
            stream.flush()
            assert stream.readline() == b"+OK\r\n"
            assert stream.readline() == b"$%d\r\n" % size
            assert stream.read(size + 2) == value + b"\r\n"


def test_pipelines_subscriptions_and_waiting_clients_work(server: SecureServer) -> None:
    with server.secure_client(protocol=3) as client, server.secure_client() as other, server.client() as plain:
        pipeline = client.pipeline(transaction=False)
        for number in range(5000):
            pipeline.set(f"key:{number}", number)
        assert pipeline.execute() == [True] * 5000
        listening = client.pubsub()
        listening.subscribe("news")
        assert listening.get_message(timeout=WAIT_S)["type"] == "subscribe"
        plain.publish("news", "x" * 100_000)
        assert len(listening.get_message(timeout=WAIT_S)["data"]) == 100_000
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.append(other.blpop("jobs", timeout=WAIT_S)))
        waiting.start()
        until(lambda: plain.info("clients")["blocked_clients"])
        plain.rpush("jobs", "job")
        waiting.join(WAIT_S)
        assert found == [(b"jobs", b"job")]
        listening.close()


def test_a_byte_at_a_time_is_enough_for_handshake_and_requests(server: SecureServer) -> None:
    context = ssl.create_default_context(cafile=server.certificates.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with server.connect() as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def step(action: Callable[[], object]) -> object:
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        link.sendall(bytes((byte,)))
                    incoming.write(link.recv(1))

        step(inside.do_handshake)
        inside.write(b"PING\r\n")
        assert step(lambda: inside.read(100)) == b"+PONG\r\n"


def test_a_request_before_the_end_of_tls_is_answered_and_the_end_is_found(server: SecureServer) -> None:
    context = ssl.create_default_context(cafile=server.certificates.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with server.connect() as link:
        while True:
            try:
                inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                link.sendall(outgoing.read())
                incoming.write(link.recv(65536))
        inside.write(b"CLIENT ID\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            inside.unwrap()
        link.sendall(outgoing.read())  # request and end in one
        incoming.write(end_of(link))  # which the server closes: the socket is still open on this side
        number = int(inside.read(100)[1:])
        with pytest.raises(ssl.SSLZeroReturnError):  # an orderly end
            inside.read(100)
    with server.client() as client:
        assert not [row for row in client.client_list() if int(row["id"]) == number]


def test_a_reader_that_stands_still_gets_everything_later_and_what_it_holds_is_seen(server: SecureServer) -> None:
    with server.secure() as link, server.client() as client:
        client.set("large", b"v" * 4_000_000)
        link.sendall(b"CLIENT SETNAME slow\r\nGET large\r\n")
        until(lambda: any(row["name"] == "slow" and int(row["omem"]) > 100_000 for row in client.client_list()))
        assert client.ping()
        came = b""
        while len(came) < 4_000_000 + len(b"+OK\r\n$4000000\r\n\r\n"):
            came += link.recv(1 << 20)
        assert came == b"+OK\r\n$4000000\r\n" + b"v" * 4_000_000 + b"\r\n"


def test_a_full_copy_goes_through_tls_to_its_orderly_end(
    server: SecureServer, tmp_path: Path, redis_tools: None
) -> None:
    with server.client() as client:
        client.flushall()
        for number in range(50):
            client.set(f"key:{number}", random.Random(number).randbytes(40_000))
    with server.secure() as slow, server.secure() as marked, server.secure_client() as other:
        marked.sendall(b"REPLCONF capa eof\r\n")
        assert marked.recv(100) == b"+OK\r\n"
        slow.sendall(b"SYNC\r\n")
        marked.sendall(b"PSYNC ? -1\r\n")
        copy = b"".join(iter(lambda: marked.recv(1 << 20), b""))  # a ragged end would raise
        assert other.ping()
        header, _, body = copy.lstrip(b"\n").partition(b"\r\n")[2].partition(b"\r\n")
        assert header.startswith(b"$EOF:")
        assert body.endswith(header[5:])
        length, _, same = b"".join(iter(lambda: slow.recv(1 << 20), b"")).lstrip(b"\n").partition(b"\r\n")
        assert int(length[1:]) == len(same) > 2_000_000
    (tmp_path / "copy.rdb").write_bytes(body.removesuffix(header[5:]))
    assert {entry.key for entry in rotomdb.rdb.open(tmp_path / "copy.rdb")} == {
        b"key:%d" % number for number in range(50)
    }
    by_cli = subprocess.run(
        ["redis-cli", "-h", HOST, "-p", str(server.tls_port), "--tls", "--cacert", server.certificates.ca, "--rdb",
         str(tmp_path / "cli.rdb")], capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    assert "Transfer finished with success" in by_cli.stderr


def test_limits_of_output_and_of_requests_hold(server: SecureServer) -> None:
    with server.client() as client:
        before = client.info("stats")
        client.config_set("client-output-buffer-limit", "normal 1mb 0 0")
        client.config_set("client-query-buffer-limit", 1 << 20)
        client.set("large", b"v" * 300_000)
        with server.secure() as greedy, contextlib.suppress(ConnectionError, ssl.SSLError):
            greedy.sendall(b"GET large\r\n" * 2000)
            end_of(greedy)
        with server.secure() as wordy, contextlib.suppress(ConnectionError, ssl.SSLError):
            wordy.sendall(b"*1\r\n$2000000\r\n" + b"x" * 2_000_000)
            end_of(wordy)
        after = client.info("stats")
        client.config_set("client-output-buffer-limit", "normal 0 0 0")
        client.config_set("client-query-buffer-limit", 1 << 30)
    for name in ("client_output_buffer_limit_disconnections", "client_query_buffer_limit_disconnections"):
        assert after[name] == before[name] + 1


def test_one_that_is_killed_or_outlives_the_server_is_told_of_an_orderly_end(server: SecureServer) -> None:
    with server.client() as client, server.secure() as link:
        link.sendall(b"CLIENT ID\r\n")
        number = int(link.recv(100)[1:])
        client.client_kill_filter(_id=str(number))
        assert link.recv(100) == b""  # and no error: close_notify came


# Rude clients


def test_what_is_no_tls_is_closed_and_named_in_the_log(server: SecureServer) -> None:
    for rude in (
        b"PING\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600,
        b"\0" * 50,
    ):
        with server.connect() as link:
            link.sendall(rude)
            assert b"PONG" not in end_of(link)
    with server.connect() as link:
        link.shutdown(socket.SHUT_WR)
        assert end_of(link) == b""
    log = server.log()
    assert "Error accepting a client connection: SSL routines::wrong version number (addr=127.0.0.1:" in log
    assert "Error accepting a client connection: SSL routines::http request (addr=127.0.0.1:" in log
    with server.secure_client() as client:
        assert client.ping()


def test_broken_records_end_only_their_connection(server: SecureServer) -> None:
    with server.secure() as link, server.secure_client() as other:
        link.sendall(b"PING\r\n")
        assert link.recv(100) == b"+PONG\r\n"
        raw = socket.socket(fileno=link.detach())
        raw.settimeout(WAIT_S)
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
            end_of(raw)
        assert other.ping()
    until(lambda: "Reading from client: SSL routines::" in server.log())


def test_a_storm_of_connections_that_end_anywhere_leaves_the_server_as_it_was(server: SecureServer) -> None:
    context = ssl.create_default_context(cafile=server.certificates.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello_of = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello_of.do_handshake()
    hello = outgoing.read()
    for number in range(100):
        link = server.connect()
        link.sendall(hello[: len(hello) * number // 90])
        if number % 2:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        link.close()
    with server.client() as client, server.secure_client() as secure:
        assert secure.ping()
        until(lambda: len(client.client_list()) <= 2)


def test_maxclients_counts_those_in_their_handshake(server: SecureServer) -> None:
    with server.client() as client:
        client.config_set("maxclients", len(client.client_list()) + 1)
        with server.connect() as silent:
            until(lambda: len(client.client_list()) == 2)
            with server.connect() as turned_away:
                assert end_of(turned_away) == b""
            silent.sendall(b"nonsense")
            end_of(silent)
        until(lambda: len(client.client_list()) == 1)
        client.config_set("maxclients", 10000)


# Certificates that change


def test_a_new_certificate_is_for_new_connections_and_a_bad_one_changes_nothing(server: SecureServer) -> None:
    certificates = server.certificates
    stop = threading.Event()
    failures: list[Exception] = []

    def load() -> None:
        try:
            with server.secure_client(ssl_ca_certs=certificates.ca) as client:
                while not stop.is_set():
                    assert client.echo("x" * 1000) == b"x" * 1000
        except Exception as error:
            failures.append(error)

    worker = threading.Thread(target=load)
    worker.start()
    other_cert, other_key = certificates.pair("other", HOST, certificates.stranger)
    for _ in range(5):
        server.set(tls_cert_file=other_cert, tls_key_file=other_key)
        with server.secure_client(ssl_ca_certs=certificates.strange_ca) as client:
            assert client.ping()
        server.set(tls_key_file=certificates.key, tls_cert_file=certificates.cert)
    refused = r"related to argument '{}'\) - Unable to update TLS configuration. Check server logs."
    for name, value in (
        ("tls-cert-file", "/nonexistent"), ("tls-cert-file", ""), ("tls-cert-file", certificates.key), ("tls-key-file", other_key),
        ("tls-key-file", certificates.cert), ("tls-ca-cert-file", certificates.key), ("tls-ca-cert-dir", "/nonexistent"),
        ("tls-protocols", "SSLv3"), ("tls-ciphers", "NONE-OF-THESE"), ("tls-dh-params-file", certificates.key),
    ):  # fmt: skip
        with pytest.raises(redis.ResponseError, match=refused.format(name)):
            server.set(**{name: value})
        with server.secure_client() as client:
            assert client.ping()
    stop.set()
    worker.join(WAIT_S)
    assert not failures
    log = server.log()
    for line in (
        "Failed to load certificate: /nonexistent: No such file or directory",
        "No tls-cert-file configured!",
        f"Failed to load certificate: {certificates.key}: ",
        f"Failed to load private key: {other_key}: X509 routines::key values mismatch",
        f"Failed to load private key: {certificates.cert}: ",
        "Failed to configure CA certificate(s) file/directory: ",
        "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.",
        "Failed to configure ciphers: ",
        "Failed to read DH params from ",
    ):
        assert line in log, line


def test_certificates_that_were_replaced_are_taken_by_themselves_where_that_is_asked_for(server: SecureServer) -> None:
    certificates = server.certificates
    rolling = certificates.pair("rolling", HOST)
    server.set(tls_cert_file=rolling[0], tls_key_file=rolling[1], tls_auto_reload_interval=1)
    certificates.pair("rolling", HOST, certificates.stranger)
    until(lambda: "the certificates have changed and were read again" in server.log())
    with server.secure_client(ssl_ca_certs=certificates.strange_ca) as client:
        assert client.ping()
    Path(rolling[1]).write_text("half of a file")
    until(lambda: f"Failed to load private key: {rolling[1]}" in server.log())
    with server.secure_client(ssl_ca_certs=certificates.strange_ca) as client:
        assert client.ping()
    server.set(tls_cert_file=certificates.cert, tls_key_file=certificates.key, tls_auto_reload_interval=0)


def test_versions_and_ciphers_are_those_that_the_directives_allow(server: SecureServer) -> None:
    server.set(tls_protocols="TLSv1.2", tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError):
        server.secure(ssl.TLSVersion.TLSv1_3)
    with server.secure() as link:
        assert link.cipher()[0].endswith("AES256-GCM-SHA384")
    server.set(tls_protocols="tlsv1.3", tls_ciphers="")
    with pytest.raises(ssl.SSLError):
        server.secure(ssl.TLSVersion.TLSv1_2)
    server.set(tls_protocols="")


def test_a_key_with_a_password_needs_it(server: SecureServer) -> None:
    key = serialization.load_pem_private_key(Path(server.certificates.key).read_bytes(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = server.certificates.directory / "locked.key"
    locked.write_bytes(key.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    for password in ("", "wrong"):
        with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
            server.set(tls_key_file=locked, tls_key_file_pass=password)
    server.set(tls_key_file=locked, tls_key_file_pass="secret")
    with server.secure_client() as client:
        assert client.ping()
    server.set(tls_key_file=server.certificates.key, tls_key_file_pass="")


def test_the_port_moves_is_closed_and_opened_while_the_server_runs(server: SecureServer) -> None:
    old = server.tls_port
    with server.secure_client() as staying, server.client() as client:
        staying.ping()
        server.set(tls_port=0)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert staying.ping()
        with pytest.raises(redis.ResponseError, match=r"Unable to listen on this port\. Check server logs\."):
            client.config_set("tls-port", server.port)
        server.tls_port = free_port()
        server.set(tls_port=server.tls_port)
        with socket.create_server((HOST, 0)) as taken:
            with pytest.raises(redis.ResponseError, match=r"Unable to listen on this port\. Check server logs\."):
                client.config_set("port", free_port(), "tls-port", taken.getsockname()[1])
            for port in (server.port, server.tls_port):
                socket.create_connection((HOST, port), WAIT_S).close()  # both are where they were
        server.set(bind=f"{HOST} 127.0.0.2")
        socket.create_connection(("127.0.0.2", server.tls_port), WAIT_S).close()
        server.set(bind=HOST)
        with server.secure_client() as moved:
            assert moved.ping()
        assert client.config_get("tls-port") == {"tls-port": str(server.tls_port)}
    assert old != server.tls_port


def test_the_title_shows_the_port_that_there_is() -> None:
    config = Config()
    load_words(config, ["--port", "0", "--tls-port", "6380"])
    assert process_title(config) == "rotomdb-server *:6380"


def test_without_certificates_there_is_no_start(certificates: Certificates, tmp_path: Path) -> None:
    server = SecureServer(tmp_path / "refused", *certificates.arguments()[:4])
    with pytest.raises(RuntimeError, match=r"Failed to configure TLS\. Check logs for more info\.") as told:
        server.start()
    assert "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, " in str(told.value)


def test_the_commands_of_the_page_on_tls_do_what_it_says(tmp_path: Path, redis_tools: None) -> None:
    page = (ROOT / "docs" / "tls.md").read_text()
    make, use = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-ec", make], cwd=tmp_path, check=True, capture_output=True)
    serve, ask = use.strip().split("\n")
    port = str(free_port())
    words = [sys.executable, "-m", "rotomdb", *serve.replace("6380", port).split()[1:]]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=tmp_path, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    try:
        until(lambda: b"Ready to accept connections tls" in (tmp_path / "log").read_bytes())
        asked = ask.replace("6380", port).split()
        assert subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True).stdout == "PONG\n"
        without = [word for word in asked if word not in ("--cert", "client.crt", "--key", "client.key")]
        assert subprocess.run(without, cwd=tmp_path, capture_output=True, text=True).stdout != "PONG\n"
        until(lambda: b"peer did not return a certificate" in (tmp_path / "log").read_bytes())
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0


CHANGES = (
    ("tls-cert-file", "/nonexistent"), ("tls-key-file", "/dev/null"), ("tls-protocols", "TLSv1.9"),
    ("tls-protocols", "TLSv1.2 tlsv1.3"), ("tls-protocols", "TLSv1.1 TLSv1.3"), ("tls-ciphers", "HIGH:!aNULL"), ("tls-ciphers", "no such"),
    ("tls-auth-clients", "maybe"), ("tls-auth-clients", "optional"), ("tls-ca-cert-file", ""), ("tls-ca-cert-file", "/nonexistent"),
    ("tls-prefer-server-ciphers", "yes"), ("tls-session-caching", "no"), ("tls-session-cache-size", "-1"), ("tls-key-file-pass", "x"),
    ("tls-dh-params-file", "/nonexistent"), ("tls-cert-file", ""),
)  # fmt: skip


def answers_of(server: ServerProcess) -> list[object]:
    """What a server answers to each change, and what it shows then."""
    answers: list[object] = []
    with server.client() as client:
        for name, value in CHANGES:
            try:
                reply = client.execute_command("CONFIG", "SET", name, value)
            except redis.ResponseError as error:
                reply = str(error)
            answers.append((name, value, reply, client.config_get(name)))
    return answers


def test_changes_are_answered_as_by_redis(server: SecureServer, redis_server: Callable[..., RedisServer]) -> None:
    server.set(tls_auth_clients="yes")
    with server.client() as client:
        before = client.config_get("tls-*")
    ours = answers_of(server)
    server.set(**{name: before[name] for name, _ in CHANGES})
    assert ours == answers_of(redis_server("--tls-port", str(free_port()), *server.certificates.arguments()))


# Inside of a program


@pytest.fixture
def embedded(certificates: Certificates) -> Iterator[tuple[rotomdb.Server, int]]:
    """A server in this process, and its TLS port."""
    port = free_port()
    paths = {"tls_cert_file": certificates.cert, "tls_key_file": certificates.key, "tls_auth_clients": "no"}
    with rotomdb.Server(tls_port=port, **paths) as server:
        yield server, port


def inside(certificates: Certificates, port: int) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=certificates.ca)
    link = socket.create_connection((HOST, port), WAIT_S)
    return context.wrap_socket(link, server_hostname=HOST, suppress_ragged_eofs=False)


def test_who_says_nothing_is_closed_when_the_time_for_the_handshake_is_over(
    embedded: tuple[rotomdb.Server, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = embedded
    monkeypatch.setattr("rotomdb.server.accepting.HANDSHAKE_MS", 50)
    with socket.create_connection((HOST, port), WAIT_S) as silent, server.client() as client:
        assert silent.recv(100) == b""
        assert len(client.client_list()) == 1


def test_protected_mode_is_told_inside_the_encryption(
    embedded: tuple[rotomdb.Server, int], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotomdb.server.accepting.is_local", lambda family, address: False)
    with inside(certificates, embedded[1]) as link:
        told = b"".join(iter(lambda: link.recv(4096), b""))  # to the orderly end
    assert told.startswith(b"-DENIED Redis is running in protected mode")


def test_a_forked_child_of_the_program_leaves_the_connections_alone(
    embedded: tuple[rotomdb.Server, int], certificates: Certificates
) -> None:
    with inside(certificates, embedded[1]) as link:
        link.sendall(b"PING\r\n")
        assert link.recv(100) == b"+PONG\r\n"
        if (child := os.fork()) == 0:
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        link.sendall(b"ECHO here\r\n")
        assert link.recv(100) == b"$4\r\nhere\r\n"


def test_a_server_that_ends_says_so_to_its_clients(
    embedded: tuple[rotomdb.Server, int], certificates: Certificates
) -> None:
    with inside(certificates, embedded[1]) as link:
        link.sendall(b"PING\r\n")
        assert link.recv(100) == b"+PONG\r\n"
        embedded[0].stop()
        assert link.recv(100) == b""  # a ragged end would raise
