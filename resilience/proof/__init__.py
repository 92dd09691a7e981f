"""Everything that is safe by default, attacked: each protection has a scenario on live daemons.

::

    [scenario] = choose(["bogon-prefixes"])
    proof = prove([(scenario, Platform.FRR)], jobs=1)
    print(proof.verdict)
"""

from __future__ import annotations

from resilience.proof.run import choose, default_jobs, prove
from resilience.proof.scenarios import SCENARIOS

__all__ = ["SCENARIOS", "choose", "default_jobs", "prove"]
