"""What is known about one solve of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as made
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from odecheck.judge import Judgement, Verdict

from .kinds import Finding, finding

if TYPE_CHECKING:
    from .call import Call
    from .settle import Truth

NAN = float("nan")


class State(StrEnum):
    """How far one solve was judged.

    Attributes:
        JUDGED: Against the truth.
        NOT_ASKED: The budget was used up before.
        NOT_JUDGED: There is a reason why it could not be.
    """

    JUDGED = "judged"
    NOT_ASKED = "not asked"
    NOT_JUDGED = "not judged"


@dataclass
class Quantity:
    """How far off one result of a solve is.

    Attributes:
        name: "solution", "event time", "dL/dy0", "dL/dtheta" or "dL/dt".
        error: Largest difference from the truth, relative to the result's own scale; of dL/dtheta each tensor by its
            own, of the event's time by the time since the start.
        bar: Its uncertainty, in the same unit.
        worst: Which tensor that is.
        used: The root mean square error in units of what the tolerance promises; up to `promise.SAFETY` is granted.
        judgement: On that promise; None without one.
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

    Attributes:
        number: Of the call, in the step.
        where: Where it was called, file:line.
        field: Name of the field.
        function: Name of the function that was called.
        library: Of which package it is.
        method: Name of the method.
        rtol: Relative tolerance of the call.
        atol: Absolute tolerance of the call.
        adaptive: Whether steps are chosen by the tolerance.
        states: Numbers of the state, all rows together.
        parameters: Numbers of the tensors that the field reaches and that ask for gradients.
        precision: In which numbers it was solved.
        state: How far it was judged.
        reason: Why it was not judged, or how the truth was found.
        nfe: Evaluations of the field forwards and backwards.
        steps: Accepted steps forwards; None where the solver does not tell.
        rejected: Rejected ones.
        seconds: Forwards and backwards, of the process.
        saved_bytes: Kept for the backward pass.
        truth_seconds: What the truth took, of the process.
        quantities: Name of a result → how far off it is.
        said: Findings and notes.
        not_asked: What else would have been asked, had the budget allowed it, in words.
        call: What was kept of the call.
        truth: What the solve should have given, with its bars; None where it was not judged.
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
    precision: str = ""
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
    not_asked: list[str] = made(default_factory=list[str])
    call: Call | None = made(default=None, repr=False)
    truth: Truth | None = made(default=None, repr=False)

    def save(self, folder: str | Path) -> Path:
        """Write the solve into a folder: solve.npz and solve.py, which poses it again.

        Args:
            folder: Made where there is none.

        Returns:
            The path of solve.py.

        Raises:
            ValueError: The solve is not held any more.
        """
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
        if self.state is not State.JUDGED or self.not_asked or Verdict.INCONCLUSIVE in kinds:
            return Verdict.INCONCLUSIVE
        return Verdict.HOLDS if Verdict.HOLDS in kinds else Verdict.NOT_APPLICABLE

    def say(self, kind: str, text: str, *, wrong: bool | None = None) -> None:
        """Add a finding, or a note: which of them its kind is, `kinds.KINDS` says.

        Args:
            kind: A few words, the same for every mistake of this kind.
            text: What is wrong, and what to type.
            wrong: Of a kind that is either: whether it is a mistake here.

        Raises:
            ValueError: No such kind, or one that needs `wrong`, or does not take it.
        """
        self.said.append(finding(kind, text, wrong=wrong))
