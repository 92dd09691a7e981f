"""Failover drills: a lab, a fault, what analysis predicted, what was measured, and a verdict.

::

    derive.py     a plan's objectives -> drills, merged so that each failure happens once
    streams.py    UDP one-way streams of every flow, both directions (pump.py is the process that sends them)
    users.py      TCP attempts of people who use a service (caller.py is the process that makes them)
    loss.py       what was sent and what arrived -> outage (RFC 6412, RFC 7747)
    verdict.py    measured, promised and predicted -> pass, fail or unknown
    timeline.py   what kernels and routing daemons did meanwhile, on the same clock
    state.py      routes and sessions before and after: has the network recovered?
    drain.py      maintenance: move traffic away first
    run.py        the experiment: steady state, fault, measurement, healing, recovery
"""
