"""The start of the router: what `netresilience-boot.service` does."""

from __future__ import annotations

import contextlib
import os

from .machine import Doc
from .refused import Refused, no_space
from .settlement import UNDRAINED, Settlement


def boot(settlement: Settlement) -> Doc:
    """Settle after a loss of power, then set what the routing daemons do not: needs none of them.

    Called again later, by hand or with its unit, it ends no watch: the start is the same, what is applied stays so.
    """
    router, store = settlement.router, settlement.store
    mark = router.machine.boot_mark
    fresh = not mark.exists()  # it lies in a folder that every start finds empty
    if fresh:
        with contextlib.suppress(OSError):
            mark.write_text(os.urandom(8).hex(), encoding="ascii")
    with store.locked():
        trouble = _settle(settlement, fresh=fresh)
        files = router.startup()
        if "sysctl.conf" in files:
            router.sysctl.load(files["sysctl.conf"])
        if "addresses.batch" in files:
            router.addresses.make(files["addresses.batch"])
        if "rules6.batch" in files:
            router.rules.make(files["rules6.batch"])
        if "nftables.conf" in files:
            router.filter.load(files["nftables.conf"])
    if trouble is not None:
        raise trouble
    return {"boot": "done"}


def _settle(settlement: Settlement, *, fresh: bool) -> Refused | None:
    """Settle; on a full disk that has to wait, and the router needs its addresses all the same."""
    try:
        if fresh:
            state = settlement.store.read()
            state.update(UNDRAINED, noted={})
            settlement.store.write(state)
        pending = settlement.settle()["pending"]
    except OSError as error:
        return no_space(error)
    if pending and pending["phase"] != "staged":
        raise Refused("busy", "change {} is {} and settles by itself".format(pending["change"], pending["phase"]))
    return None
