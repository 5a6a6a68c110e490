"""Trainings, step by step."""

from odecheck.report.schemas import STEPS, Parquet

KIND = Parquet(
    "training",
    text=("task", "model", "optimizer", "split", "knobs"),
    numbers=(
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
        "end_time",
        "overshoot",
    ),
    needed=("task", "model", "step", "loss"),
    later=("knobs", "end_time", "overshoot"),
)
