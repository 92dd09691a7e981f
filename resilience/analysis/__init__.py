"""Plan to findings and predictions: what would break, by what, for how long, and what to do about it."""

from resilience.analysis.checks import CHECKS, Check
from resilience.analysis.damage import Damage, damage_of_failure
from resilience.analysis.findings import analyse
from resilience.analysis.paths import FlowPaths, flow_paths
from resilience.analysis.predict import predict

__all__ = ["CHECKS", "Check", "Damage", "FlowPaths", "analyse", "damage_of_failure", "flow_paths", "predict"]
