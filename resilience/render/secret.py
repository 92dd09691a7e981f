"""Passwords: a reference in what people read, the secret only where a caller resolves it on purpose."""

from __future__ import annotations

from collections.abc import Callable

from resilience.errors import UsageError
from resilience.model.network import SecretRef

ResolveSecret = Callable[[SecretRef], str | None]
"""Returns the secret that a reference stands for, or None to leave the reference."""

_MAXIMUM = 80
"""Longest key of TCP MD5 signatures on Linux (RFC 2385 says no figure)."""
_REFUSED = set('"\\')


def no_secrets(reference: SecretRef) -> str | None:
    """Leave every reference as it is: what rendering does unless told otherwise."""
    del reference
    return None


def password_text(reference: SecretRef | None, resolve: ResolveSecret) -> str | None:
    """Return what stands in the file: the secret, or a marked reference that both daemons parse as a password.

    Both ends of a session carry the same reference, so files with unresolved references still work with each other.
    """
    if reference is None:
        return None
    secret = resolve(reference)
    if secret is None:
        marked = "".join(c if c.isalnum() or c in "._:/-" else "_" for c in f"UNRESOLVED:{reference}" if c.isascii())
        return marked[:_MAXIMUM]
    printable = secret.isascii() and secret.isprintable() and not _REFUSED & set(secret)
    if not printable or secret.strip() != secret or not 0 < len(secret) <= _MAXIMUM:
        raise UsageError(
            f"the secret of {reference} cannot be written into a configuration",
            hint=f"use 1 to {_MAXIMUM} printable ASCII characters, without quotes, backslashes or spaces at the ends",
        )
    return secret
