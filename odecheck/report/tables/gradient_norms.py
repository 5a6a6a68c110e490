"""How far back a gradient reaches."""

from odecheck.report.schemas import Parquet

KIND = Parquet("gradient_norms", ("model",), ("seed", "back", "norm"), needed=("model", "back", "norm"))
