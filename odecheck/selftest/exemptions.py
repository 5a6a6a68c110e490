"""What a person has looked at: mutants that survive for a reason, and claims that refute no mutant alone.

They stand in `exemptions.toml`. A survivor that is not named there fails the self-test. A reason says why no claim can
refute it: the mutant computes the same (equivalent), what it changes is a cost or what is refused and no answer, or no
problem of the battery gets there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources

from odecheck.claim import family_of

_READ: Mapping[str, Mapping[str, str]] = tomllib.loads(
    resources.files(__package__ or "").joinpath("exemptions.toml").read_text(encoding="utf-8")
)
# mutant → why nothing that it returns is wrong
SURVIVORS = _READ["survivors"]
# claim → why it is kept although others refute every mutant that it refutes
KEPT = _READ["kept"]


def why_kept(claim: str) -> str:
    """The reason for a claim without a mutant of its own; empty where none is written."""
    return KEPT.get(claim) or family_of(claim).alone
