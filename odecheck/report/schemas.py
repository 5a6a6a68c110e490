"""The tables that a report reads, by the name of their file: which columns they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Columns of a table. needed: without these it says nothing."""

    text: tuple[str, ...]
    numbers: tuple[str, ...]
    needed: tuple[str, ...]


STEPS = ("accepted_forward", "rejected_forward", "accepted_backward", "rejected_backward")
KINDS: Mapping[str, Kind] = {
    "conformance": Kind(
        (
            "library",
            "version",
            "engine",
            "method",
            "claim",
            "problem",
            "verdict",
            "message",
            "expected_failure",
            "row",
            "ok",
            "reproducer",
        ),
        ("error", "error_over_tolerance", "resolved", "score", "observed", "expected", "bar", "nfe", "seconds"),
        ("library", "claim", "verdict"),
    ),
    "cost": Kind(
        ("model", "problem", "library", "engine", "method", "quantity", "device", "dtype"),
        (
            "rtol",
            "achieved_error",
            "nfe_forward",
            "nfe_backward",
            *STEPS,
            "dense_evaluations",
            "saved_bytes",
            "peak_bytes",
            "cpu_seconds",
            "wall_seconds",
        ),
        ("method", "quantity", "achieved_error"),
    ),
    "training": Kind(
        ("task", "model", "optimizer", "split"),
        (
            "learning_rate",
            "seed",
            "parameters",
            "step",
            "epoch",
            "loss",
            "accuracy",
            "nfe_forward",
            "nfe_backward",
            *STEPS,
            "cpu_seconds",
            "wall_seconds",
            "peak_bytes",
        ),
        ("task", "model", "step", "loss"),
    ),
    "gradient_norms": Kind(("model",), ("seed", "back", "norm"), ("model", "back", "norm")),
    "eigenvalues": Kind(("model",), ("seed", "back", "real", "imag"), ("model", "real", "imag")),
    "kronecker_split": Kind(
        ("layer",),
        ("count", "horizon", "total", "time", "samples"),
        ("layer", "count", "horizon", "total"),
    ),
    # written by odecheck regressions --page; asv's own results are read by `history`
    "history": Kind(
        ("benchmark", "params", "machine", "kind", "unit", "commit"),
        ("position", "value", "spread"),
        ("benchmark", "kind", "commit", "position", "value"),
    ),
    "stability": Kind(
        ("model", "inner", "solver", "what", "outcome", "message"),
        ("failed", "runs", "smallest_v", "largest_h"),
        ("model", "solver", "what", "outcome"),
    ),
}
