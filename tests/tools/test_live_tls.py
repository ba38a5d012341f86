"""Live servers behind TLS: whom the tools trust, who they are, and what they say when that does not work out."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotomdb.storage import live_server
from tests.processes import RedisServer, free_port
from tests.tools.running import ALL_KINDS, STRINGS, Ended, forked


@dataclass(frozen=True)
class Certificates:
    """An authority, what it signed for the server (`localhost`) and for us, and an authority that nobody knows."""

    place: Path

    def file(self, name: str) -> str:
        return str(self.place / name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    place = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=place, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
    for name, subject in (("server", "localhost"), ("client", "operator")):
        openssl(
            "req", "-x509", *key, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", f"{name}.key", "-out", f"{name}.crt",
            "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}",
        )  # fmt: skip
    openssl("ec", "-in", "client.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
    return Certificates(place)


@pytest.fixture(scope="module")
def server(made: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    running = RedisServer(
        tmp_path_factory.mktemp("server"), "--tls-port", str(free_port()), "--tls-cert-file", made.file("server.crt"),
        "--tls-key-file", made.file("server.key"), "--tls-ca-cert-file", made.file("ca.crt"),
        "--tls-auth-clients", "no", "--save", "",
    )  # fmt: skip
    running.start()
    with running.client() as client:
        client.set("greeting", "hello")
    yield running
    running.stop()


@pytest.fixture
def port(server: RedisServer) -> Iterator[int]:
    with server.client() as client:
        yield int(client.config_get("tls-port")["tls-port"])
        client.config_set("tls-auth-clients", "no")


def info(*options: str, port: int, host: str = "localhost") -> Ended:
    begun = time.monotonic()
    done = forked("rdb", *options, "info", f"rediss://{host}:{port}")
    assert time.monotonic() - begun < 10
    assert done.errors.count("\n") <= 2
    return done


def test_the_authority_that_is_named_is_trusted_and_no_other(made: Certificates, port: int) -> None:
    assert info("--cacert", made.file("ca.crt"), port=port).status == 0
    for options in ([], ["--cacert", made.file("stranger.crt")]):
        done = info(*options, port=port)
        assert done.status == 3
        assert done.errors.startswith(f"Error: rediss://localhost:{port}: its certificate is not trusted: ")


def test_a_certificate_is_for_a_name(made: Certificates, port: int) -> None:
    done = info("--cacert", made.file("ca.crt"), port=port, host="127.0.0.1")
    assert (done.status, "IP address mismatch" in done.errors) == (3, True)
    assert info("--cacert", made.file("ca.crt"), "--sni", "localhost", port=port, host="127.0.0.1").status == 0


def test_a_person_may_trust_anybody(port: int) -> None:
    assert info("--insecure", port=port, host="127.0.0.1").status == 0


def test_a_server_that_asks_who_we_are_is_told(made: Certificates, server: RedisServer, port: int) -> None:
    with server.client() as client:
        client.config_set("tls-auth-clients", "yes")
    trust = ("--cacert", made.file("ca.crt"))
    done = info(*trust, port=port)
    assert done.status == 3
    assert "certificate required" in done.errors or "may want a certificate of ours" in done.errors
    ours = ("--cert", made.file("client.crt"), "--key", made.file("client.key"))
    assert info(*trust, *ours, port=port).status == 0
    strange = info(*trust, "--cert", made.file("stranger.crt"), "--key", made.file("stranger.key"), port=port)
    assert strange.status == 3
    assert "TLS: " in strange.errors or "may want another certificate" in strange.errors


def test_a_restore_goes_through_tls(made: Certificates, server: RedisServer, port: int) -> None:
    done = forked("rdb", "--cacert", made.file("ca.crt"), "restore", STRINGS, f"rediss://localhost:{port}/4")
    assert done.status == 0, done.errors
    with server.client(db=4) as client:
        assert client.dbsize() > 0
        client.flushdb()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cacert", "nowhere.crt"], "Error: nowhere.crt: No such file or directory\n"),
        (["--cacert", "{place}/ca.key"], "Error: {place}/ca.key: TLS: "),
        (["--cert", "{place}/client.crt"], "Error: --cert and --key belong together"),
        (["--cert", "{place}/client.crt", "--key", "{place}/ca.key"], "Error: {place}/client.crt, {place}/ca.key: TLS: key values mismatch"),
        (["--cert", "{place}/client.crt", "--key", "{place}/locked.key"], "Error: {place}/locked.key: it is encrypted, and there is no terminal"),
    ],
    ids=["missing", "no certificate", "alone", "of another", "encrypted"],
)  # fmt: skip
def test_files_that_do_not_serve_are_named(made: Certificates, port: int, options: list[str], said: str) -> None:
    done = info(*(word.format(place=made.place) for word in options), port=port)
    assert done.status == 3
    assert done.errors.startswith(said.format(place=made.place))


def test_what_speaks_no_tls_and_what_is_silent_is_given_up(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live_server.CONNECT_S <= 5
    monkeypatch.setattr(live_server, "CONNECT_S", 1.0)
    assert info(port=server.port, host="127.0.0.1").status == 3
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = info(port=listener.getsockname()[1], host="127.0.0.1")
    assert (done.status, "no answer within 1 s" in done.errors) == (3, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cacert", "ca.crt", "info", str(ALL_KINDS)], "--cacert is for rediss:// addresses, and there is none"),
        (["info", "rediss://nowhere", "--cert", "a", "--key", "b"], "--cert stands in front of the command"),
    ],
    ids=["no address", "behind the command"],
)
def test_options_without_effect_are_wrong_usage(words: list[str], said: str) -> None:
    done = forked("rdb", *words)
    assert (done.status, said in done.errors) == (2, True)
