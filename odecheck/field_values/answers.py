"""The questions of `function`, `circumstances` and `outside`, their answers, and what usually makes one another."""

from __future__ import annotations

from dataclasses import dataclass

from .line import EPS

# the same operations on the same numbers, some in other kernels
ROUNDING = 1e4 * EPS
# matrix products of other sizes are blocked otherwise, and a field that cancels shows it
ROWS = 1e-9


@dataclass(frozen=True)
class Answer:
    """An answer that was compared.

    Attributes:
        question: In which circumstances it was given.
        gap: Its relative distance from that of an object that was never asked before, the largest of all places.
        t: The time there.
        raised: What was raised in place of an answer, and where; empty where there was one.
        kept_in: The variable that keeps what makes the difference, where that is known.
    """

    question: str
    gap: float
    t: float
    raised: str = ""
    kept_in: str = ""

    @property
    def bar(self) -> float:
        """The gap that rounding explains."""
        return ROWS if self.question in OTHER_ROWS else ROUNDING

    @property
    def off(self) -> bool:
        """Whether the gap is more than its bar."""
        return not self.gap <= self.bar


DRAWN = "in the first call of another copy"
OF_ROWS, OF_INPUTS = "among another number of rows", "where fewer of t, y and parameters need one"
OF_VALUE = "where fewer of t, y and parameters need a gradient"
KEPT_OUTSIDE = "with changed parameters, and what is kept outside of it forgotten"
# asked of other numbers of rows
OTHER_ROWS = ("a row by itself", OF_ROWS, OF_INPUTS, OF_VALUE)
# each question with what usually makes its answer another one; the first that is off names the mistake
CAUSES = {
    "of the same point at once": "dropout or noise inside forward, or a count of calls that enters the value",
    DRAWN: "noise that is drawn in the first call and kept, as flows with a Hutchinson trace do",
    "its input afterwards": "an operation in place (y.mul_, y[...] = ...) on the state that was given",
    "its output afterwards": "an output written into a tensor that the next call writes into as well",
    "after other points": "a value kept from an earlier call: a time frozen at the first call, a cached weight",
    "in another order": "a value kept from an earlier call, or a count of calls that enters the value",
    "at the same time, another state": "values kept by their time alone",
    "at the same state, another time": "values kept by their state alone",
    "with gradients": "a branch on torch.is_grad_enabled() or on requires_grad",
    "a row by itself": "batch normalisation in training mode, or a sum or an attention over the batch axis",
    "with changed parameters": "a weight, or something made of it, that was cached at the first call",
    "with replaced parameters": "the numbers of a parameter that were kept: .data, a view, a numpy array",
    "by functional_call": "a weight that was cached at the first call, or is reached by another way than its name",
    OF_ROWS: "a backward of its own that goes by the number of rows, and is wrong for one that is trained with",
    OF_INPUTS: "a backward of its own that goes by ctx.needs_input_grad, or a branch on requires_grad",
    OF_VALUE: "a branch on t.requires_grad, y.requires_grad or that of a parameter",
    KEPT_OUTSIDE: "a weight, or something made of it, that was kept in a global or in an attribute of the class",
    "after thousands of calls": "a count of calls, or statistics that move with every call",
}
