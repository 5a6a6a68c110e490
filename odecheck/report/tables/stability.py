"""Where a solver makes v negative or h blows up, cell by cell."""

from odecheck.report.schemas import Parquet

KIND = Parquet(
    "stability",
    text=("model", "inner", "solver", "what", "outcome", "message"),
    numbers=("failed", "runs", "smallest_v", "largest_h"),
    needed=("model", "solver", "what", "outcome"),
)
