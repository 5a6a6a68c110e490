"""The spectrum of the Jacobian along a solution."""

from odecheck.report.schemas import Parquet

KIND = Parquet("eigenvalues", ("model",), ("seed", "back", "real", "imag"), needed=("model", "real", "imag"))
