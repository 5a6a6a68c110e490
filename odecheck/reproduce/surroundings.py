"""Questions about derivatives in what is around a solve: no parameters, complex states' times, cells, made starts."""

from __future__ import annotations

from odecheck_reference import Problem

from odecheck.claims.libraries.cells import unit
from odecheck.claims.libraries.parameters import float32_problem, loosened
from odecheck.engines.script_call import Call
from odecheck.subject import Subject

from .question import Question, finest, loss_text
from .solutions import parts_of

_TIMES = "times = torch.tensor(ts, requires_grad=True)"
_OF = "[np.zeros(x.numel()) if x.grad is None else x.grad.numpy().ravel() for x in ({})]"
_PLACES = "(ts - ts[0]) / (ts[-1] - ts[0])"


def _bare(call: Call) -> list[str]:
    return [
        "class Bare(torch.nn.Module):  # without any parameter",
        f"    def forward(self, t, y): return f({call.time}, y, torch.tensor(p))",
        "frozen, found = Field(p).requires_grad_(False), []",
        "for field in (frozen, Bare()):",
        "    start = torch.tensor(y0, requires_grad=True)",
        f"    loss(solve(field, start, torch.tensor(ts), {call.how})).backward()",
        "    found.append(np.zeros(y0.size) if start.grad is None else start.grad.numpy().ravel())",
        "observed = np.r_[np.concatenate(found), frozen.p.grad is not None]",
    ]


def _complex(call: Call) -> list[str]:
    return [
        *parts_of("complex"),
        _TIMES,
        f"loss(whole(solve(Parts(Field(p)), cut(torch.tensor(y0)), times, {call.how}))).backward()",
        f"observed = np.concatenate({_OF.format('times,')})",
    ]


def _cell(call: Call) -> list[str]:
    return [
        "class Cell(torch.nn.Module):  # solved over s from 0 to 1",
        "    def __init__(self):",
        "        super().__init__(); self.begin = torch.nn.Parameter(torch.tensor(ts[0]))",
        "        self.inner, self.length = Field(p), torch.nn.Parameter(torch.tensor(ts[-1] - ts[0]))",
        "    def forward(self, s, y): return self.length * self.inner(self.begin + s * self.length, y)",
        "field, start = Cell(), torch.tensor(y0, requires_grad=True)",
        f"loss(solve(field, start, torch.tensor({_PLACES}), {call.how})).backward()",
        f"observed = np.concatenate({_OF.format('field.begin, field.length, start')})",
    ]


def _made(call: Call) -> list[str]:
    return [
        "x = torch.tensor(np.sqrt(np.abs(y0)), requires_grad=True)",
        "start = torch.cat([x[:, :1].square(), x[:, 1:].square()], 1) * torch.tensor(np.where(y0 < 0, -1.0, 1.0))",
        f"loss(solve(Field(p), start, torch.tensor(ts), {call.how})).backward()",
        f"observed = np.concatenate({_OF.format('x,')})",
    ]


def _single(call: Call) -> list[str]:
    return [
        "times = torch.tensor(ts).float().requires_grad_()",
        f"loss(solve(Field(p).float(), torch.tensor(y0).float(), times, {call.how})).backward()",
        "observed = np.zeros(len(ts)) if times.grad is None else times.grad.numpy().astype(float)",
    ]


def around(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """DER-21 to DER-25: derivatives without parameters, in times of complex states and in float32, of cells, of starts.

    A cell is looked at through its first and last coordinate of time: the one moves where it begins, the other how long
    it is.
    """
    size, count, times = problem.y0.size, len(problem.theta), len(problem.ts)
    of_times = list(range(size + count, size + count + times))
    exact, made = "loss(torch.tensor(exact({})))", "np.where(y0 < 0, -1.0, 1.0) * (np.sqrt(np.abs(y0)) + y - y0) ** 2"
    at, asked = finest(subject), problem
    lines, indices, value, more = {
        "DER-21": (_bare, [*range(size)] * 2, "y, theta, times", "[0.0]"),
        "DER-22": (_complex, of_times, "y, theta, times", ""),
        "DER-23": (_single, of_times, "y, theta, times", ""),
        "DER-24": (
            _cell,
            [of_times[0], of_times[-1], *range(size)],
            f"y, theta, times[0] + {_PLACES} * (times[-1] - ts[0])",
            "",
        ),
        "DER-25": (_made, [*range(size)], f"{made}, theta, times", ""),
    }[claim_id]
    if claim_id == "DER-23":
        at, asked = loosened(subject), float32_problem(problem)
    if claim_id == "DER-24":
        at = unit(at, float(problem.ts[-1] - problem.ts[0]))
    loss, constants = loss_text(asked.loss)
    return Question(
        "gradient",
        "derivative in what is around the solve",
        asked,
        at,
        {
            "loss": loss,
            "constants": constants,
            "lines": lines,
            "indices": indices,
            "value": exact.format(value),
            "more": more,
        },
    )
