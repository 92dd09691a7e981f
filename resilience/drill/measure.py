"""One measurement: the streams and users of some flows, and what they went through between two times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from resilience.drill.loss import measure_resolution_ms, measure_stream
from resilience.drill.streams import IN_FLIGHT_NS, Streams
from resilience.drill.users import Users, measure_wait
from resilience.drill.users import measure_resolution_ms as measure_gap_ms
from resilience.drill.verdict import Measured
from resilience.lab.seam import Lab
from resilience.model.journal import Way
from resilience.model.plan import Flow, ListenerKind, Plan, Protocol

POLL_S = 0.02
SLOW_ANSWER_NS = 300_000_000
"""Longer than any answer in a lab takes, longer than one retransmission: such an attempt has met an outage."""


class Measurement:
    """Traffic of some flows, from entering the context to leaving it."""

    def __init__(self, lab: Lab, plan: Plan, flows: Sequence[Flow], *, longest_s: float) -> None:
        self.flows = tuple(flows)
        self._udp = tuple(flow for flow in flows if flow.protocol is Protocol.UDP)
        tcp = tuple(flow for flow in flows if flow.protocol is Protocol.TCP)
        zones = {flow: _zone(plan, flow) for flow in tcp}
        self.streams = Streams(lab.namespace, self._udp, longest_s=longest_s)
        self.users = Users(lab.namespace, tcp, zones, longest_s=longest_s)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.streams)
            stack.enter_context(self.users)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def stop(self) -> None:
        """End the traffic; what was recorded stays readable."""
        self.users.stop()
        self.streams.stop()

    def slow_down(self) -> None:
        """Only ask from now on whether flows work: nothing is measured any more."""
        self.streams.slow_down()
        self.users.slow_down()

    def troubled(self, quiet_ns: int, since_ns: int = 0) -> tuple[Flow, ...]:
        """Return the flows that do not work right now: not without a loss during the last `quiet_ns`, since a time."""
        now = time.monotonic_ns()
        start_ns = max(now - IN_FLIGHT_NS - quiet_ns, since_ns)
        self.streams.check_alive()
        return tuple(
            flow
            for flow in self.flows
            if (self._is_losing(flow, quiet_ns) if flow.protocol is Protocol.UDP else self._is_waiting(flow, start_ns))
        )

    def _is_losing(self, flow: Flow, quiet_ns: int) -> bool:
        return any(self.streams.is_losing((flow, way), quiet_ns) for way in Way)

    def _is_waiting(self, flow: Flow, start_ns: int) -> bool:
        """Say whether a user who came since then has failed or waits, or whether nobody was served at all."""
        now = time.monotonic_ns()
        served = False
        for attempt in reversed(self.users.attempts(flow)):
            if attempt.start_ns < start_ns and served:
                return False
            if attempt.good:
                served = True
            elif attempt.end_ns is not None or now - attempt.start_ns >= SLOW_ANSWER_NS:
                return True
        return not served

    def wait_until_steady(self, quiet_ns: int, limit_s: float) -> tuple[Flow, ...]:
        """Wait until every flow works; return those that do not after the limit."""
        deadline = time.monotonic() + limit_s
        while (troubled := self.troubled(quiet_ns)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return troubled

    def read(self, flow: Flow, start_ns: int, end_ns: int) -> Measured:
        """Return what a flow went through between two times."""
        if flow.protocol is Protocol.TCP:
            attempts = self.users.attempts(flow)
            return Measured(
                tcp=measure_wait(attempts, start_ns, end_ns),
                resolution_ms=measure_gap_ms(attempts, start_ns, end_ns),
                excess_ms=self.users.slowest_service_ms(flow, start_ns, end_ns),
            )
        records = {way: self.streams.record((flow, way)) for way in Way}
        resolutions = [
            measure_resolution_ms(record, start_ns, end_ns) for record in records.values() if not record.answers
        ]
        return Measured(
            forward=measure_stream(records[Way.FORWARD], start_ns, end_ns),
            back=measure_stream(records[Way.RETURN], start_ns, end_ns),
            resolution_ms=max(resolutions),
            answers=records[Way.RETURN].answers,
        )


def _zone(plan: Plan, flow: Flow) -> str:
    if flow.listener is not ListenerKind.DNS:
        return ""
    listeners = (listener for node in flow.target.nodes for listener in plan.nodes[node].listeners)
    return next((one.zone for one in listeners if one.kind is ListenerKind.DNS and one.port == flow.port), "")
