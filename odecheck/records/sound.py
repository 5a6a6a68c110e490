"""Records whose columns are of their types, whatever a file said: what is no number is NaN, and no error."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

from odecheck.foreign import words
from odecheck.judge import Verdict
from odecheck.record import Record


def sound(record: Record) -> Record:
    """The record with every column of its type: words where words belong, and NaN for what is no number.

    Args:
        record: as it was read.

    Returns:
        The same, where all is right.
    """
    changed: dict[str, Any] = {}
    for column in fields(record):
        value = getattr(record, column.name)
        if column.type in ("str", "Verdict"):
            right: Any = "" if value is None or (isinstance(value, float) and math.isnan(value)) else words(value)
            right = Verdict(right) if column.type == "Verdict" else right
        elif column.type == "bool":
            right = value is True or (isinstance(value, int | float) and value == 1)
        else:
            right = _number(value)
            right = int(right) if column.type == "int" and math.isfinite(right) else right
        changed[column.name] = right
    try:
        terms = {str(k): _number(v) for k, v in json.loads(changed["budget"]).items()}
    except (ValueError, AttributeError, RecursionError):
        terms = {}
    changed["budget"] = json.dumps(terms)
    return type(record)(**changed)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return math.nan
