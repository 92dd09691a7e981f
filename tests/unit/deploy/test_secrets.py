"""References to secrets: each kind is resolved, and no message ever holds what it found."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from resilience.deploy.secrets import is_reference, make_resolver
from resilience.errors import EnvironmentLacks, ResilienceError, UsageError
from resilience.model.network import SecretRef

HIDDEN = "the-real-secret"
TOKEN = "hvs.a-token"  # noqa: S105 - of a vault that lives for one test


def resolve(folder: Path, reference: str) -> str:
    """Resolve one reference of the network in a folder."""
    return make_resolver(folder)(SecretRef(reference))


def trouble(folder: Path, reference: str) -> ResilienceError:
    """Return the error of a reference that cannot be resolved, having seen that it gives nothing away."""
    with pytest.raises(ResilienceError) as raised:
        resolve(folder, reference)
    assert HIDDEN not in f"{raised.value.message}{raised.value.hint}"
    assert TOKEN not in f"{raised.value.message}{raised.value.hint}"
    return raised.value


def test_a_variable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:` is for pipelines."""
    monkeypatch.setenv("DAKAR_MD5", HIDDEN)

    assert resolve(tmp_path, "env:DAKAR_MD5") == HIDDEN


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_says_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """An empty password would be a session without one."""
    monkeypatch.delenv("DAKAR_MD5", raising=False)
    if value is not None:
        monkeypatch.setenv("DAKAR_MD5", value)

    error = trouble(tmp_path, "env:DAKAR_MD5")

    assert isinstance(error, UsageError)
    assert "env:DAKAR_MD5" in error.message


def test_a_file_is_read_relative_to_the_network(tmp_path: Path) -> None:
    """With or without a line's end; only the owner and the group may read it."""
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys/dakar"
    file.write_text(f"{HIDDEN}\n", encoding="utf-8")
    file.chmod(0o640)

    assert resolve(tmp_path, "file:keys/dakar") == HIDDEN
    assert resolve(tmp_path / "elsewhere", f"file:{file}") == HIDDEN


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """What everybody reads is no secret, and what others write is not ours."""
    file = tmp_path / "dakar"
    file.write_text(HIDDEN, encoding="utf-8")
    file.chmod(mode)

    error = trouble(tmp_path, "file:dakar")

    assert "refused" in error.message
    assert error.hint == f"chmod 600 {file}"


def test_what_is_no_file_of_one_text_is_refused(tmp_path: Path) -> None:
    """A folder, nothing, an empty file, too much, something else than text."""
    for name, data in {"empty": b"\n", "large": b"x" * 5000, "binary": b"\xff\xfe"}.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)

    for name in ("empty", "large", "binary", "nothing", "."):
        assert f"file:{name}" in trouble(tmp_path, f"file:{name}").message


def test_another_kind_of_reference_is_refused(tmp_path: Path) -> None:
    """A literal password is never taken for a reference, and never repeated."""
    assert not is_reference(HIDDEN)
    assert "none of env:" in trouble(tmp_path, HIDDEN).message


def test_a_resolver_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in inventories, which people print."""
    monkeypatch.setenv("DAKAR_MD5", HIDDEN)
    resolver = make_resolver(tmp_path)
    resolver(SecretRef("env:DAKAR_MD5"))

    assert HIDDEN not in repr(resolver)


def test_a_secret_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred routers with one reference are one question, and all get the same answer."""
    monkeypatch.setenv("DAKAR_MD5", HIDDEN)
    resolver = make_resolver(tmp_path)
    resolver(SecretRef("env:DAKAR_MD5"))
    monkeypatch.setenv("DAKAR_MD5", "another")

    assert resolver(SecretRef("env:DAKAR_MD5")) == HIDDEN


@dataclass
class Vault:
    """A server that speaks as HashiCorp's does: version 2 of the store of keys and values."""

    address: str
    status: int = 200
    body: str = field(default_factory=lambda: json.dumps(envelope({"password": HIDDEN, "number": 7})))
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def envelope(data: dict[str, object]) -> dict[str, object]:
    """Return what the vault answers with around a secret."""
    return {"data": {"data": data, "metadata": {"version": 3, "deletion_time": ""}}}


@contextmanager
def running_vault() -> Iterator[Vault]:
    """Serve a vault on a port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("X-Vault-Token")))
            self.send_response(served.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(served.body.encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Vault(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A vault that the environment leads to."""
    with running_vault() as found:
        monkeypatch.setenv("VAULT_ADDR", found.address)
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield found


def test_a_vault_is_asked_with_its_token(tmp_path: Path, vault: Vault) -> None:
    """`vault:MOUNT/PATH#KEY`, the newest version."""
    assert resolve(tmp_path, "vault:kv/network/dakar#password") == HIDDEN
    assert vault.asked == [("/v1/kv/data/network/dakar", TOKEN)]


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_a_vault_that_refuses_is_named_with_the_reference(tmp_path: Path, vault: Vault, status: int) -> None:
    """Its own words are not repeated: they hold what it was asked."""
    vault.status, vault.body = status, json.dumps({"errors": [f"permission denied for {TOKEN} {HIDDEN}"]})

    assert "vault:kv/dakar#password" in trouble(tmp_path, "vault:kv/dakar#password").message


@pytest.mark.parametrize("body", ["[]", "{}", "no json " + HIDDEN, '{"data": {"data": null}}', '{"data": 1}'])
def test_a_vault_that_answers_something_else_is_an_error(tmp_path: Path, vault: Vault, body: str) -> None:
    """No traceback, whatever it says."""
    vault.body = body

    trouble(tmp_path, "vault:kv/dakar#password")


@pytest.mark.parametrize("key", ["user", "number"])
def test_a_vault_without_that_text_is_an_error(tmp_path: Path, vault: Vault, key: str) -> None:
    """The message says which key was looked for."""
    assert f"under {key}" in trouble(tmp_path, f"vault:kv/dakar#{key}").message
    assert vault.asked


def test_nobody_at_the_vaults_address_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is not known is told apart."""
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert "VAULT_ADDR" in trouble(tmp_path, "vault:kv/dakar#password").hint
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    assert "ConnectionError" in trouble(tmp_path, "vault:kv/dakar#password").message


@pytest.mark.parametrize("reference", ["vault:", "vault:kv", "vault:kv/dakar", "vault:/dakar#a", "vault:kv/dakar#"])
def test_a_vaults_reference_has_three_parts(tmp_path: Path, vault: Vault, reference: str) -> None:
    """Nothing is asked for half a reference."""
    trouble(tmp_path, reference)
    assert vault.asked == []


def test_without_the_client_of_vaults_it_is_said_how_to_get_it(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra that few need."""
    monkeypatch.setitem(sys.modules, "hvac", None)

    error = trouble(tmp_path, "vault:kv/dakar#password")

    assert isinstance(error, EnvironmentLacks)
    assert error.hint == "pip install 'netresilience[vault]'"
    assert vault.asked == []
