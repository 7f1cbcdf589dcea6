"""Into the registry, and past the gate."""

from handful_trainer.registration.gate import Candidate, GateDecision, pass_gate
from handful_trainer.registration.mlflow_model import register_package

__all__ = ["Candidate", "GateDecision", "pass_gate", "register_package"]
