"""Rain by town."""

from odecheck.report.schemas import Parquet

KIND = Parquet("weather", text=("town",), numbers=("rain",), needed=("rain",))
