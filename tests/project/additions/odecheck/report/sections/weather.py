"""Rain, in a sentence."""

from __future__ import annotations

from odecheck.report.reader import Found
from odecheck.report.text import Section, Text

PLACE = 15


def section(found: Found) -> Section | None:
    rows = found.tables.get("weather")
    return None if rows is None else Section("weather", "Weather", "", (Text(f"{rows['rain'].sum():g} mm"),))
