"""How much tests try: what stands for the rest, or all there is (`make test-all`)."""

from __future__ import annotations

import os
from typing import Final

EVERYTHING: Final = os.environ.get("RESILIENCE_EVERY") == "1"
"""Try every case of whatever has so many that a run of CI tries only some: drills on both back ends, for one."""
