"""What is known about one solve of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as made
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from odecheck.judge import Judgement, Verdict

if TYPE_CHECKING:
    from .call import Call

NAN = float("nan")


class State(StrEnum):
    """How far one solve was judged."""

    JUDGED = "judged"
    NOT_ASKED = "not asked"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Finding:
    """One mistake, by kind and in words; a note is true and worth knowing, and may be meant so."""

    kind: str
    text: str
    note: bool = False


@dataclass
class Quantity:
    """How far off one result of a solve is.

    error, bar: largest difference from the truth and its uncertainty, relative to the result's own scale; of
    dL/dtheta each tensor by its own. worst: which tensor that is. used: the root mean square error in units of
    what the tolerance promises; up to `promise.SAFETY` is granted. judgement: on that promise, None without one.
    """

    name: str
    error: float
    bar: float
    worst: str = ""
    used: float = NAN
    judgement: Judgement | None = None

    @property
    def verdict(self) -> Verdict:
        """On the promise of the tolerance; not applicable where nothing was promised."""
        return Verdict.NOT_APPLICABLE if self.judgement is None else self.judgement.verdict


@dataclass
class Row:
    """One solve: where it was called, what it cost, how far off it is, and what is wrong with it.

    where: file:line. nfe: evaluations of the field forwards and backwards. seconds: forwards and backwards, of the
    process. saved_bytes: kept for the backward pass. reason: why it was not judged, or how the truth was found.
    """

    number: int
    where: str
    field: str
    function: str
    library: str
    method: str
    rtol: float
    atol: float
    adaptive: bool
    states: int
    parameters: int
    state: State = State.NOT_ASKED
    reason: str = ""
    nfe: tuple[int, int] = (0, 0)
    steps: int | None = None
    rejected: int | None = None
    seconds: tuple[float, float] = (NAN, NAN)
    saved_bytes: int = 0
    truth_seconds: float = 0.0
    quantities: dict[str, Quantity] = made(default_factory=dict)
    said: list[Finding] = made(default_factory=list)
    call: Call | None = made(default=None, repr=False)

    def save(self, folder: str | Path) -> Path:
        """Write the solve into a folder: solve.npz and solve.py, which poses it again. See `reproducer.save`."""
        from .reproducer import save

        if self.call is None:
            raise ValueError(
                f"the solve at {self.where} is not held any more: save the rows of a step that was watched"
            )
        return save(self.call, folder)

    @property
    def findings(self) -> list[Finding]:
        """What is wrong."""
        return [f for f in self.said if not f.note]

    @property
    def notes(self) -> list[Finding]:
        """What is worth knowing."""
        return [f for f in self.said if f.note]

    @property
    def verdict(self) -> Verdict:
        """Of the whole solve: refuted by a finding or a broken promise, inconclusive where something is not decided.

        Not applicable: nothing was found and nothing promised, as by fixed steps.
        """
        kinds = {q.verdict for q in self.quantities.values()}
        if self.findings or Verdict.REFUTED in kinds:
            return Verdict.REFUTED
        if self.state is not State.JUDGED or Verdict.INCONCLUSIVE in kinds:
            return Verdict.INCONCLUSIVE
        return Verdict.HOLDS if Verdict.HOLDS in kinds else Verdict.NOT_APPLICABLE

    def say(self, kind: str, text: str, *, note: bool = False) -> None:
        """Add a finding, or a note."""
        self.said.append(Finding(kind, text, note))
