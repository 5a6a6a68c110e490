"""What solutions and derivatives cost, and how exact they are."""

from odecheck.report.schemas import STEPS, Parquet

KIND = Parquet(
    "cost",
    text=("model", "problem", "library", "engine", "method", "quantity", "device", "dtype"),
    numbers=(
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
    needed=("method", "quantity", "achieved_error"),
)
