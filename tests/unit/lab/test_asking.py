"""Talking to a lab's keeper."""

from __future__ import annotations

import os
import socket

import pytest

from resilience.errors import LabError
from resilience.lab.asking import ask_keeper


@pytest.mark.parametrize("said", [b'{"event": "error", "message": "no room"}\n', b""])
def test_a_keeper_that_fails_holds_no_connection_open(said: bytes) -> None:
    """Neither does whoever keeps the error: its traceback remembers what was being read."""
    ours, keepers = socket.socketpair()
    number = ours.fileno()
    with keepers:
        keepers.sendall(said)
        keepers.shutdown(socket.SHUT_WR)
        with pytest.raises(LabError) as raised:
            ask_keeper(ours, {"do": "keep"})
        ours.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
    assert raised.value.message == ("no room" if said else "")
