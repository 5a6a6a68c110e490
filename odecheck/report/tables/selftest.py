"""What `odecheck selftest --write` keeps: scores, survivors, alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from odecheck.report.schemas import JsonFile


class SelfTest(JsonFile):
    """The summary as it was written; of several, the parts of the last one that has them."""

    def parsed(self, text: str) -> Mapping[str, Any] | None:
        made = json.loads(text)
        return made if isinstance(made, dict) else None

    def joined(self, contents: Sequence[Any]) -> Mapping[str, Any]:
        return {name: part for made in contents for name, part in made.items()}


KIND = SelfTest("selftest")
