"""What a solve, its gradient and its second derivatives cost, exactly, and at equal achieved error."""

from odecheck.instruments.saved_bytes import saved_bytes
from odecheck.instruments.step_counts import Counter, Counts, counted

from .measure import Cost, Posed, achieved, alone, measure, pose
from .precision import COLUMNS, at_equal_error, ladder, row, work_precision
from .quantities import QUANTITIES, Quantity, compute, direction, hvp

__all__ = [
    "COLUMNS",
    "QUANTITIES",
    "Cost",
    "Counter",
    "Counts",
    "Posed",
    "Quantity",
    "achieved",
    "alone",
    "at_equal_error",
    "compute",
    "counted",
    "direction",
    "hvp",
    "ladder",
    "measure",
    "pose",
    "row",
    "saved_bytes",
    "work_precision",
]
