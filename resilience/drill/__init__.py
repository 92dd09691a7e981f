"""Failover drills: a lab, a fault, what analysis predicted, what was measured, and a verdict.

::

    derive.py       a plan's objectives -> drills, merged so that each failure happens once
    run.py          a whole run: control run, every failure, the journal
    experiment.py   one failure: steady state, fault, measurement, healing, recovery
    drain.py        maintenance: move traffic away first
    measure.py      the traffic of some flows, and what it went through
      streams.py      UDP one-way streams of every flow, both directions (pump.py is the process that sends them)
      users.py        attempts of people who use a service (caller.py is the process that makes them)
      loss.py         what was sent and what arrived -> outage (RFC 6412, RFC 7747)
    verdict.py      measured, promised and predicted -> pass, fail or unknown
    explain.py      why it took so long, and the remedy
    state.py        routes and sessions before and after: has the network recovered?
    timeline.py     what kernels and daemons did meanwhile, on the same clock
      kernel_events.py, daemon_events.py   their words made the same

    with open_lab(plan, configs) as lab:
        journal = Drills(lab, plan, Drain(lab, plan, configs, replan), watcher, Settings()).run(derive(plan))
"""
