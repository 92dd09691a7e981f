"""References to secrets into secrets, at the last moment: `env:NAME`, `file:PATH`, `vault:MOUNT/PATH#KEY`.

Messages name the reference, never the value; what was fetched is kept in memory for as long as the resolver is.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Final

from resilience.errors import EnvironmentLacks, UsageError
from resilience.model.network import SecretRef

_MAXIMUM_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXO
_VAULT_TIMEOUT_S: Final = 10
KINDS: Final = ("env:", "file:", "vault:")


def is_reference(text: str) -> bool:
    """Say whether a text says where a secret is kept, rather than being one."""
    return text.startswith(KINDS)


class SecretResolver:
    """Resolves references, each once. Callable, so that it is what rendering asks for; shows nothing of what it holds.

    Raises:
        UsageError: there is no such secret, or everybody may read it.
        EnvironmentLacks: the client of vaults is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "<secrets>"

    def __call__(self, reference: SecretRef) -> str:
        """Return the secret that a reference stands for."""
        text = str(reference)
        with self._lock:
            if text not in self._known:
                self._known[text] = self._resolve(text)
            return self._known[text]

    def _resolve(self, reference: str) -> str:
        kind, _, rest = reference.partition(":")
        if kind == "env" and rest:
            return _read_variable(reference, rest)
        if kind == "file" and rest:
            return _read_secret_file(reference, self._folder / Path(rest).expanduser())
        if kind == "vault" and rest:
            return _read_vault(reference, rest)
        raise UsageError("a secret's reference is none of env:, file: and vault:", hint="write env:NAME or file:PATH")


def make_resolver(folder: Path) -> SecretResolver:
    """Return what resolves the references of a network; relative paths are below its folder."""
    return SecretResolver(folder)


def _read_variable(reference: str, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        said = "is not set" if value is None else "is empty"
        raise UsageError(f"the secret {reference} cannot be had: the variable {said}", hint=f"export {name}=...")
    return value


def _read_secret_file(reference: str, path: Path) -> str:
    """Read a file that only its owner and group may read: a secret that everybody reads is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse_open_file(reference, path, os.fstat(descriptor).st_mode)
            return _to_text(reference, os.read(descriptor, _MAXIMUM_BYTES + 1))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be a file's"
        raise UsageError(
            f"the secret {reference} cannot be had: {reason}", hint="paths are relative to the network's folder"
        ) from None


def _refuse_open_file(reference: str, path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UsageError(f"the secret {reference} cannot be had: this is no regular file")
    if mode & _OTHERS:
        raise UsageError(
            f"the secret {reference} is refused: others may read or change the file", hint=f"chmod 600 {path}"
        )


def _to_text(reference: str, data: bytes) -> str:
    if len(data) > _MAXIMUM_BYTES:
        raise UsageError(f"the secret {reference} is refused: the file has more than {_MAXIMUM_BYTES} bytes")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"the secret {reference} is refused: the file is not UTF-8 text") from None
    if not text:
        raise UsageError(f"the secret {reference} cannot be had: the file is empty")
    return text


def _read_vault(reference: str, rest: str) -> str:
    """Ask HashiCorp's Vault, or what speaks as it does: version 2 of its store of keys and values."""
    mount, path, key = _split_vault(reference, rest)
    address, token = os.environ.get("VAULT_ADDR", ""), os.environ.get("VAULT_TOKEN", "")
    if not address or not token:
        raise UsageError(
            f"the secret {reference} cannot be had: it is not known where the vault is",
            hint="export VAULT_ADDR=https://... and VAULT_TOKEN=... (`vault login` gives one)",
        )
    data = _ask_vault(reference, mount, path)
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f"the secret {reference} cannot be had: {mount}/{path} has no text under {key}")
    return value


def _split_vault(reference: str, rest: str) -> tuple[str, str, str]:
    place, _, key = rest.partition("#")
    mount, _, path = place.partition("/")
    if not (mount and path and key):
        raise UsageError(f"the secret {reference} is not to be understood", hint="write vault:MOUNT/PATH#KEY")
    return mount, path, key


def _ask_vault(reference: str, mount: str, path: str) -> dict[str, object]:
    try:
        import hvac  # noqa: PLC0415 - an extra that few need
        from hvac.exceptions import VaultError  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415
    except ImportError:
        raise EnvironmentLacks(
            f"the secret {reference} needs the client of vaults", hint="pip install 'netresilience[vault]'"
        ) from None
    try:
        client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"], timeout=_VAULT_TIMEOUT_S)
        answer = client.secrets.kv.v2.read_secret_version(path=path, mount_point=mount, raise_on_deleted_version=True)
        data = answer["data"]["data"]
    except (VaultError, RequestException) as error:
        # The words of these errors may hold addresses with credentials in them; their names say enough.
        raise UsageError(
            f"the secret {reference} cannot be had: the vault said {type(error).__name__}",
            hint="VAULT_ADDR and VAULT_TOKEN say which vault is asked, and as whom",
        ) from None
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"the secret {reference} cannot be had: the vault's answer is not one") from None
    return data if isinstance(data, dict) else {}
