"""Questions about first derivatives: by the library's own backward pass, against differences of scipy's solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from odecheck_reference import Problem
from odecheck_reference import solution as exact_solution
from odecheck_reference.losses import Linear as LinearLoss

from odecheck.claims.libraries import derivatives, outputs
from odecheck.claims.libraries import usage as use
from odecheck.claims.libraries.parameters import float32_problem, loosened
from odecheck.claims.shared import promises
from odecheck.engines.base import jumps_of
from odecheck.engines.script_call import Call
from odecheck.solvers import Stepped, Toleranced
from odecheck.subject import Subject

from .question import Question, finest, index_of, loss_text, part_of, worst_part
from .solutions import parts_of

WANTED = {
    "NODE-1": ("start",),
    "NODE-2": ("field.p",),
    "NODE-3": ("times",),
    "DER-2": ("times",),
    "DER-3": ("times",),
    "DER-6": ("times",),
    "DER-18": ("times",),
}
EXACT = "loss(torch.tensor(exact(y, theta, times)))"


def _parts(claim_id: str, subject: Subject, problem: Problem) -> Sequence[Problem]:
    match claim_id:
        case "NODE-1":
            states = exact_solution(problem).value
            return [problem.restarted(i, states[i]) if i else problem for i in range(len(problem.ts) - 1)]
        case "DER-1":
            return derivatives.each_alone(problem)
        case "DER-2" | "DER-17":
            return derivatives.all_seen(problem)
        case "DER-3":
            assert isinstance(subject.solver, Stepped)
            return derivatives.on_grid(problem, subject.solver.step)
        case "DER-4":
            return derivatives.interior_only(problem)
        case "DER-5" | "DER-6":
            return derivatives.turned(problem)
        case "DER-18":
            return outputs.many_times(problem)
        case "DER-19":
            return (*outputs.many_times(problem), *outputs.late_times(problem))
        case "DER-20":
            return outputs.pieces(problem)
        case _:
            return (problem,)


def gradient(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """NODE-1 to NODE-3, DER-1 to DER-9, DER-17 to DER-20: derivatives in the start, the parameters or the times."""
    wanted = WANTED.get(claim_id, ("start", "field.p"))
    parts = _parts(claim_id, subject, problem)
    part = parts[0]
    if len(parts) > 1:
        of_times = wanted == ("times",)
        part = worst_part(parts, [len(p.ts) if of_times else p.y0.size + len(p.theta) for p in parts], worst)
    carried = part.running is not None
    start = part.y0.size + (len(part.y0) if carried else 0)
    sizes = {"start": start, "field.p": len(part.theta), "times": len(part.ts)}
    first = {"start": 0, "field.p": start, "times": start + len(part.theta)}
    at = finest(subject)
    if claim_id == "DER-9":
        jump = torch.tensor([part.field.at], dtype=torch.float64)  # type: ignore[attr-defined]
        at = replace(at, solver=jumps_of(at.engine).told(at.solver, jump))

    granted = 0.0
    if claim_id == "DER-17":
        assert isinstance(subject.solver, Toleranced)
        rung = index_of(worst, 2)
        at = part_of([subject, subject.refined(), at], rung, worst)
        granted = promises.of_derivatives(subject.solver, part, subject.solver.rtol / 10**rung)
        granted *= promises.SAFETY / promises.stages_of(subject.solver)

    def lines(call: Call) -> list[str]:
        if call.language == "jax":
            places = tuple({"start": 0, "field.p": 1, "times": 2}[name] for name in wanted)
            return [
                f"value = lambda y0, p, ts: loss(solve(y0, p, ts, {call.how}))",
                f"found = {call.differentiate}(value, {places})(jnp.array(y0), jnp.array(p), jnp.array(ts))",
                "observed = np.concatenate([np.ravel(g) for g in found])",
            ]
        if call.differentiate == "discrete.gradient":
            named = {"start": "g.y0.ravel()", "times": "g.times", "field.p": "*(x.ravel() for x in g.theta.values())"}
            return [
                f"record = discrete.record(Field(p), torch.tensor(y0), torch.tensor(ts), {call.how})",
                "g = discrete.gradient(record, loss, times=True)",
                f"observed = torch.cat([{', '.join(named[name] for name in wanted)}]).numpy()",
            ]
        leaves, none = ", ".join(wanted), [sizes[name] for name in wanted]
        moving = ", requires_grad=True" if "times" in wanted else ""
        return [
            f"field, start, times = Field(p), torch.tensor(y0, requires_grad=True), torch.tensor(ts{moving})",
            f"value = loss(solve(field, start, times, {call.how}))",
            f"found = torch.autograd.grad(value, [{leaves}], allow_unused=True)",
            f"observed = np.concatenate([np.zeros(n) if g is None else g.numpy().ravel() "
            f"for g, n in zip(found, {none})])",
        ]

    loss, constants = loss_text(part.loss, carried=carried)
    indices = [first[name] + i for name in wanted for i in range(sizes[name])]
    return Question(
        "gradient",
        f"derivative in {', '.join(wanted)}",
        part,
        at,
        {"loss": loss, "constants": constants, "lines": lines, "indices": indices, "value": EXACT, "more": ""},
        carried=carried,
        granted=granted,
    )


_START = "start = torch.tensor(y0, requires_grad=True)"
_OF = "[np.zeros(x.numel()) if x.grad is None else x.grad.numpy().ravel() for x in (start, {})]"
_TWICE = [
    "class Twice(torch.nn.Module):  # one module, and so its parameters, in two places",
    "    def __init__(self, inner): super().__init__(); self.first = self.second = inner",
    "    def forward(self, t, y): return (self.first(t, y) + 3 * self.second(t, y)) / 4",
]


def graph(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """DER-10 to DER-12, DER-15, DER-16, USE-1: backward() of modules and states as users have them."""
    size, count = problem.y0.size, len(problem.theta)
    indices, more, value = list(range(size + count)), "", EXACT
    frozen = next(subject.module(problem).parameters()).numel() if claim_id == "DER-10" else 0
    if claim_id == "DER-10":
        indices, more = [*range(size), *range(size + frozen, size + count)], "[0.0]"
    if claim_id == "DER-11":
        more = "[0.0, 0.0]"
    if claim_id == "USE-1":
        value += " + loss(torch.tensor(exact(0.5 * y0 - 0.25, theta, times)))"

    def solved(field: str, how: str, start: str = "start") -> str:
        return f"solve({field}, {start}, torch.tensor(ts), {how})"

    def lines(call: Call) -> list[str]:
        how, begin = call.how, ["field, start = Field(p), torch.tensor(y0, requires_grad=True)"]
        match claim_id:
            case "DER-10":
                return [
                    f"class Frozen(torch.nn.Module):  # the first {frozen} parameters are frozen",
                    "    def __init__(self):",
                    f"        super().__init__(); self.a = torch.nn.Parameter(torch.tensor(p[:{frozen}]), False)",
                    f"        self.b = torch.nn.Parameter(torch.tensor(p[{frozen}:]))",
                    f"    def forward(self, t, y): return f({call.time}, y, torch.cat([self.a, self.b]))",
                    "field = Frozen()",
                    _START,
                    f"loss({solved('field', how)}).backward()",
                    f"touched, found = field.a.grad is not None, {_OF.format('field.b')}",
                    "observed = np.concatenate([*found, [touched]])",
                ]
            case "DER-11":
                return [
                    "class Spare(torch.nn.Module):  # with two parameters that it does not use",
                    "    def __init__(self):",
                    "        super().__init__(); self.inner = Field(p)",
                    "        self.spare = torch.nn.Parameter(torch.ones(2).double())",
                    "    def forward(self, t, y): return self.inner(t, y)",
                    "field = Spare()",
                    _START,
                    f"loss({solved('field', how)}).backward()",
                    f"observed = np.concatenate({_OF.format('field.inner.p, field.spare')})",
                ]
            case "DER-12":
                return [
                    *_TWICE,
                    *begin,
                    f"loss({solved('Twice(field)', how)}).backward()",
                    f"observed = np.concatenate({_OF.format('field.p')})",
                ]
            case "DER-15" | "DER-16":
                form = {"DER-15": "tuple", "DER-16": "complex"}[claim_id]
                return [
                    *parts_of(form),
                    *begin,
                    f"loss(whole({solved('Parts(field)', how, 'cut(start)')})).backward()",
                    f"observed = np.concatenate({_OF.format('field.p')})",
                ]
            case _:  # USE-1
                return [
                    *begin,
                    f"first = loss({solved('field', how)})",
                    f"(first + loss({solved('field', how, 'torch.tensor(0.5 * y0 - 0.25)')})).backward()",
                    f"observed = np.concatenate({_OF.format('field.p')})",
                ]

    if claim_id == "USE-1":
        use.elsewhere(problem)  # raises for a problem that has no such second start
    loss, constants = loss_text(problem.loss)
    return Question(
        "gradient",
        "derivative in start, parameters",
        problem,
        finest(subject),
        {"loss": loss, "constants": constants, "lines": lines, "indices": indices, "value": value, "more": more},
    )


def single(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """DER-14: derivatives in float32."""
    asked = float32_problem(problem)

    def lines(call: Call) -> list[str]:
        return [
            "field, start = Field(p).float(), torch.tensor(y0).float().requires_grad_()",
            f"states = solve(field, start, torch.tensor(ts).float(), {call.how})",
            "loss(states).backward()",
            "kinds = {states.dtype, start.grad.dtype, field.p.grad.dtype}",
            "observed = np.r_[start.grad.numpy().ravel(), field.p.grad.numpy()]",
            "observed = observed.astype(float) if kinds == {torch.float32} else np.full(observed.shape, np.nan)",
        ]

    loss, constants = loss_text(asked.loss)
    return Question(
        "gradient",
        "derivative in float32",
        asked,
        loosened(subject),
        {
            "loss": loss,
            "constants": constants,
            "lines": lines,
            "value": EXACT,
            "more": "",
            "indices": list(range(asked.y0.size + len(asked.theta))),
        },
    )


def invariant(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """NODE-4 and NODE-5: adjoint times tangent, and the volume of the flow."""
    rng = np.random.default_rng(0)
    v, w = rng.standard_normal(problem.y0.shape), rng.standard_normal(problem.y0.shape)
    asked = problem.with_(loss=LinearLoss(np.zeros(problem.observations)), running=None)

    def adjoint_times_tangent(call: Call) -> list[str]:
        return [
            f"v, w = np.array({v.tolist()}), np.array({w.tolist()})",
            "class Tangent(torch.nn.Module):  # of state and direction",
            "    def forward(self, t, s):",
            "        y, d = s.chunk(2, -1); at = lambda y: f(t, y, torch.tensor(p))",
            "        return torch.cat([at(y), torch.autograd.functional.jvp(at, y, d)[1]], -1)",
            f"both = solve(Tangent(), torch.tensor(np.concatenate([y0, v], 1)), torch.tensor(ts), {call.how})",
            "def adjoint(i, y):",
            f"    end = solve(Field(p), y, torch.tensor(ts[i:]), {call.how})[-1]",
            "    return torch.autograd.grad((torch.tensor(w) * end).sum(), y)[0].numpy()",
            "y, d = both.detach()[:-1].chunk(2, -1)",
            "pairs = [(adjoint(i, y[i].clone().requires_grad_()), d[i].numpy()) for i in range(len(y))]",
            "observed = np.stack([(a * b).sum(1) for a, b in pairs])",
            "end = lambda h: (w * exact(y0 + h * v, p, ts)[-1]).sum(1)",
            "slope = (8 * (end(1e-3) - end(-1e-3)) - end(2e-3) + end(-2e-3)) / 12e-3",
            "true = np.stack([slope] * len(y))",
        ]

    def volume(call: Call) -> list[str]:
        return [
            "start = torch.tensor(y0, requires_grad=True)",
            f"end = solve(Field(p), start, torch.tensor(ts), {call.how})[-1]",
            "rows = [torch.autograd.grad(x.sum(), start, retain_graph=True)[0].numpy() for x in end.T]",
            "observed = np.linalg.det(np.stack(rows, 1))",
            "move = lambda j, h: exact(y0 + h * np.eye(y0.shape[1])[j], p, ts)[-1]",
            "slope = lambda j, h: (8 * (move(j, h) - move(j, -h)) - move(j, 2 * h) + move(j, -2 * h)) / (12 * h)",
            "true = np.linalg.det(np.stack([slope(j, 1e-3) for j in range(y0.shape[1])], 2))",
        ]

    lines, what = {
        "NODE-4": (adjoint_times_tangent, "adjoint times tangent"),
        "NODE-5": (volume, "determinant of dy(T)/dy0"),
    }[claim_id]
    return Question("solution", what, asked, finest(subject), {"lines": lines, "needs_truth": True})
