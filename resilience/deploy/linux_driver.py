"""Routers that run FRR or BIRD on Linux, through the program on them: the driver of both platforms.

What differs between them is the program's business; here they differ by name and by what they can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final

from resilience.deploy.client import RouterClient, check_change, read_answer, read_refusal
from resilience.deploy.driver import Bundle, Capabilities, Change, Outcome, Pending
from resilience.deploy.router import Check, Hello, Observation, Probe, Survey
from resilience.deploy.transport import Transport
from resilience.errors import RouterError, RouterTrouble
from resilience.model.network import Platform

MOST_PROBES: Final = 64
_MOST_FILES_S: Final = 60.0
"""Checking a configuration with the router's own programs takes them a while on a small router."""
_GRACE_S: Final = 10.0
_SETTLE_S: Final = 60.0
_PROBES_S: Final = 15.0
_OBSERVE_S: Final = 30.0


class LinuxDriver:
    """One router. Fulfils `Driver` and `Router`; used by one thread at a time."""

    platform: Platform

    def __init__(self, name: str, transport: Transport) -> None:
        self._name = name
        self._client = RouterClient(transport)

    def __repr__(self) -> str:
        return f"<{self.platform} router {self._name}>"

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can do: all of it, whatever becomes of the session."""
        return Capabilities(platform=self.platform.value)

    # ---- questions -------------------------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """Say who it is; `wrong-router` where it answers to another name, or runs another platform."""
        return self._own(self._client.ask(Hello, "hello"))

    def survey(self, bundle: Bundle) -> Survey:
        """Say who it is and what would change."""
        said = self._client.call("survey", stdin=_to_json(bundle), timeout_s=_MOST_FILES_S)
        hello = self._own(read_answer(Hello, said.get("hello"), "survey"))
        if "refused" in said:
            return Survey(hello=hello, refusal=read_refusal(said["refused"]))
        return Survey(hello=hello, change=read_answer(Change, said.get("change"), "survey"))

    def _own(self, hello: Hello) -> Hello:
        if hello.router != self._name:
            raise RouterError(
                RouterTrouble.WRONG_ROUTER,
                f"the router at this address calls itself {hello.router!r}",
                hint="correct the address in hosts.yaml, or the name in /etc/netresilience/router.json",
            )
        if hello.platform != self.platform.value:
            raise RouterError(
                RouterTrouble.WRONG_ROUTER, f"it runs {hello.platform!r}, the intent has it on {self.platform}"
            )
        return hello

    def pending(self) -> Pending | None:
        """Return the change that is not settled."""
        found = self._client.call("pending").get("pending")
        return None if found is None else read_answer(Pending, found, "pending")

    def observe(self) -> Observation:
        """Say what its daemons see."""
        found = self._client.call("observe", timeout_s=_OBSERVE_S)
        ospf = found.pop("ospf", None)
        found["ospf_neighbors"] = ospf.get("neighbors", 0) if isinstance(ospf, dict) else 0
        return read_answer(Observation, found, "observe")

    def check(self) -> Check:
        """Compare what runs with what should."""
        return self._client.ask(Check, "check", timeout_s=_MOST_FILES_S)

    def probe(self, probes: Iterable[Probe]) -> Mapping[str, bool]:
        """Ask addresses for an answer."""
        asked = list(probes)
        if not asked:
            return {}
        if len(asked) > MOST_PROBES:
            raise RouterError(RouterTrouble.FAILED, f"a router is asked for {MOST_PROBES} probes at most")
        stdin = {"probes": [asdict(probe) for probe in asked]}
        found = self._client.call("probe", stdin=stdin, timeout_s=_PROBES_S).get("results")
        results = read_answer(dict[str, bool], found, "probe")
        return {probe.id: results.get(probe.id, False) for probe in asked}

    # ---- changes ---------------------------------------------------------------------------------------------------

    def diff(self, bundle: Bundle) -> Change:
        """Say what would change."""
        return self._client.ask(Change, "diff", stdin=_to_json(bundle), timeout_s=_MOST_FILES_S)

    def stage(self, bundle: Bundle) -> Change:
        """Put a bundle on the router."""
        check_change(bundle.change)
        return self._client.ask(Change, "stage", stdin=_to_json(bundle), timeout_s=_MOST_FILES_S)

    def apply(self, change: str, *, deadline_s: int, drained: bool = False) -> Outcome:
        """Run a staged change; where the session is cut, `unreachable` is raised soon after the deadline."""
        options = ("--drained",) if drained else ()
        arguments = (check_change(change), "--deadline-s", str(int(deadline_s)), *options)
        return self._client.ask(Outcome, "apply", *arguments, timeout_s=deadline_s + _GRACE_S)

    def confirm(self, change: str) -> Outcome:
        """Keep a change."""
        return self._client.ask(Outcome, "confirm", check_change(change), timeout_s=_GRACE_S + 5)

    def roll_back(self, change: str) -> Outcome:
        """Give up a change."""
        return self._client.ask(Outcome, "rollback", check_change(change), timeout_s=_SETTLE_S)

    def drain(self, change: str, *, deadline_s: int = 60) -> bool:
        """Run the drained form of what is confirmed; for a change that is staged, until the deadline at the latest."""
        return self._draining("drain", change, *(("--deadline-s", str(int(deadline_s))) if change else ()))

    def undrain(self, change: str) -> bool:
        """Give the applied change, or what is confirmed, its ordinary form."""
        return self._draining("undrain", change)

    def hang_up(self) -> None:
        """Close the connection."""
        self._client.hang_up()

    def _draining(self, verb: str, change: str, *options: str) -> bool:
        arguments = (check_change(change),) if change else ()
        answer = self._client.call(verb, *arguments, *options, timeout_s=_SETTLE_S)
        return read_answer(bool, answer.get("drained"), verb)


class FrrDriver(LinuxDriver):
    """A router that runs FRR."""

    platform = Platform.FRR


class BirdDriver(LinuxDriver):
    """A router that runs BIRD."""

    platform = Platform.BIRD


_DRIVERS: Final[Mapping[str, type[LinuxDriver]]] = {"frr": FrrDriver, "bird": BirdDriver}


def make_driver(name: str, platform: str, transport: Transport) -> LinuxDriver:
    """Return the driver of a router."""
    driver = _DRIVERS.get(platform)
    if driver is None:
        raise RouterError(
            RouterTrouble.FAILED, f"there is no driver for {platform!r} yet", hint=f"there are {', '.join(_DRIVERS)}"
        )
    return driver(name, transport)


def _to_json(bundle: Bundle) -> dict[str, object]:
    return asdict(bundle)
