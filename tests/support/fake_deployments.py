"""A deployment to routers in memory, begun as the command begins it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from resilience.deploy.driver import Bundle
from resilience.deploy.engine import Deployer, Wares, Watching, plan_routers
from resilience.deploy.expect import Expected, ExpectedSession
from resilience.deploy.router import Probe
from resilience.deploy.survey import survey
from resilience.model.deployment import Deployment, DeploymentState, Step
from tests.support.fake_routers import FakeClock, FakeFleet, FakeRouter, MortalRecords

CHANGE = "20260102-030405-a1b2c3"
OLD = {"frr.conf": "old"}
NEW = {"frr.conf": "new"}
DEADLINE_S = 60
PROVIDER = "192.0.2.1"

EXPECTED = Expected(
    sessions=(ExpectedSession(name="dakar-ipv4", neighbor=PROVIDER, family=4, announces=True, bfd=False),),
    probes=(Probe(id="mobile-money ipv4 echo", source="10.0.0.1", target="198.51.100.80"),),
)


class World:
    """Routers, the folder of their records, and whoever deploys to them; `again` is a new process after a death."""

    def __init__(self, folder: Path, routers: Sequence[FakeRouter], clock: FakeClock) -> None:
        self.clock = clock
        self.fleet = FakeFleet(routers)
        self.records = MortalRecords(folder, self.fleet)
        self.stop = threading.Event()
        self.told: list[str] = []
        self.bundles = {
            router.name: Bundle(
                change=CHANGE,
                router=router.name,
                network="test",
                who="anna@noc",
                platform="frr",
                files=NEW,
                drained={"frr.conf": "drained"},
            )
            for router in routers
        }

    @property
    def wares(self) -> Wares:
        """What is deployed."""
        names = tuple(self.bundles)
        return Wares(
            bundles=self.bundles, expected=dict.fromkeys(names, EXPECTED), hashes=dict.fromkeys(names, "0" * 64)
        )

    @property
    def deployer(self) -> Deployer:
        """The engine."""
        watching = Watching(
            tell=lambda name, text: self.told.append(f"{name}: {text}"), clock=self.clock, stop=self.stop
        )
        return Deployer(self.fleet, self.records, watching)

    def again(self) -> None:
        """Start another process, perhaps on another machine."""
        self.fleet.dead = False
        self.stop.clear()

    def deploy(self, *waves: Sequence[str], drain_wait_s: float = 1) -> Deployment:
        """Survey and deploy, one router a wave unless said otherwise."""
        surveyed = survey(self.fleet, self.bundles, deadline_s=DEADLINE_S)
        assert not [answer.error for answer in surveyed.values() if answer.error is not None]
        wares = self.wares
        deployment = Deployment(
            id=CHANGE,
            tool="0.1.0",
            network="test",
            input_sha256="0" * 64,
            who="anna@noc",
            started="2026-01-02T03:04:05Z",
            deadline_s=DEADLINE_S,
            proof=None,
            without_proof="test",
            state=DeploymentState.RUNNING,
            routers=plan_routers(((), *(waves or [(name,) for name in self.bundles])), surveyed, wares),
        )
        return self.deployer.deploy(deployment, wares, drain_wait_s=drain_wait_s)

    def resume(self, deadline_s: int | None = None) -> Deployment:
        """Take up."""
        return self.deployer.resume(CHANGE, self.wares, drain_wait_s=1, deadline_s=deadline_s)

    def steps(self) -> dict[str, Step]:
        """Return what the record on the disk says of each router."""
        return {router.router: router.step for router in self.records.read(CHANGE).routers}


def make_world(folder: Path, *names: str, **options: object) -> World:
    """Return a world of routers that run the old configuration."""
    clock = FakeClock()
    return World(folder, [FakeRouter(name, clock, OLD, **options) for name in names], clock)  # type: ignore[arg-type]
