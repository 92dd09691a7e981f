"""The start of the router: what `netresilience-boot.service` does."""

from __future__ import annotations

import contextlib
import os

from .machine import Doc
from .settlement import Settlement


def boot(settlement: Settlement) -> Doc:
    """Settle after a loss of power, then set what the routing daemons do not: needs none of them."""
    router, store = settlement.router, settlement.store
    with contextlib.suppress(OSError):
        router.machine.boot_mark.write_text(os.urandom(8).hex(), encoding="ascii")
    with store.locked():
        state = settlement.settle()
        state.update(drained=False, drained_for="", drained_until=None, noted={})
        store.write(state)
        files = router.startup()
        if "sysctl.conf" in files:
            router.sysctl.load(files["sysctl.conf"])
        if "addresses.batch" in files:
            router.addresses.make(files["addresses.batch"])
        if "rules6.batch" in files:
            router.machine.run(["ip", "-6", "-force", "-batch", "-"], stdin=files["rules6.batch"])
        if "nftables.conf" in files:
            router.filter.load(files["nftables.conf"])
    return {"boot": "done"}
