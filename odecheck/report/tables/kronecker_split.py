"""The error of a Kronecker approximation, in parts."""

from odecheck.report.schemas import Parquet

KIND = Parquet(
    "kronecker_split",
    text=("layer",),
    numbers=("count", "horizon", "total", "time", "samples"),
    needed=("layer", "count", "horizon", "total"),
)
