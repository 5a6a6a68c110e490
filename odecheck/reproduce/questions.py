"""What kind of question a claim asks, and the numbers of it: the variables of that kind's template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from odecheck_reference import Problem, losses
from odecheck_reference import gradient as exact_gradient
from odecheck_reference import solution as exact_solution

from ..claims import derivatives, solution, steps
from ..door import BadInput
from ..solvers import Adaptive, FixedStep, GivenSteps
from ..subject import Subject

Variables = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """kind: the template. what: of the printed line. problem, subject: what is solved, and how finely.

    relative: whether the bar is in units of the largest true component.
    """

    kind: str
    what: str
    problem: Problem
    subject: Subject
    variables: Variables
    relative: bool = False


def ask(claim_id: str, subject: Subject, problem: Problem) -> Question:
    """The question of a claim. Raises BadInput where none is known."""
    for ids, make in QUESTIONS:
        if claim_id in ids:
            return make(claim_id, subject, problem)
    raise BadInput(
        f"no script is known for claim {claim_id}",
        "a claim about a model, an optimizer or a curvature matrix, and not about a solver",
        "odecheck show ROW, which runs the case again with odecheck",
    )


def _finest(subject: Subject) -> Subject:
    return subject.refined().refined()


def _worst(parts: Sequence[Problem], gap: Callable[[Problem], float]) -> Problem:
    """Of several problems of one claim the one that is furthest off."""
    return max(parts, key=gap)


def _solution(claim_id: str, subject: Subject, problem: Problem) -> Question:
    finest = _finest(subject)
    parts = {"SOL-13": steps.drawn_intervals, "SOL-14": lambda p: (steps.turned(p),)}.get(claim_id, lambda p: (p,))

    def gap(part: Problem) -> float:
        found, truth = finest.solution(part), exact_solution(part).value
        return float(np.max(np.abs(found - truth))) if found.shape == truth.shape else np.inf

    return Question("solution", "state", _worst(parts(problem), gap), finest, {})


def _order(claim_id: str, subject: Subject, problem: Problem) -> Question:
    solver = subject.solver
    assert isinstance(solver, FixedStep)
    cells, at, order = solution.cells_of(problem), -1, solver.order
    ts = problem.ts[[0, -1]]
    remainder = steps.REMAINDER if claim_id == "SOL-10" else 0.0
    more: Variables = {"uneven": ""}
    if claim_id == "SOL-4":
        ts, at, order = np.r_[ts[0], ts[0] + (ts[1] - ts[0]) / 3, ts[1]], 1, solver.dense_order
    if claim_id == "SOL-11":
        cells += cells % 2
        subject, more = replace(subject, solver=GivenSteps(solver.method)), {"uneven": 1 - 2 * steps.UNEVEN}
    length = 1.0 if more["uneven"] else abs(float(ts[-1] - ts[0]))
    more["steps"] = [length / (cells * 2**j + remainder) for j in range(4)]
    torchdiffeq = subject.engine.name.startswith(("torchdiffeq", "odecheck"))
    more["step_key"] = "['options']['step_size']" if torchdiffeq else "['step_size']"
    asked = problem.with_(ts=ts, loss=solution.silent(problem, len(ts)), running=None)
    return Question("order", "order of convergence", asked, subject, {"at": at, "order": order, **more})


def _tolerance(claim_id: str, subject: Subject, problem: Problem) -> Question:
    solver = subject.solver
    assert isinstance(solver, Adaptive)
    lands = solver.land or getattr(subject.engine, "lands", False)
    ts = np.linspace(problem.ts[0], problem.ts[-1], 2 if lands else 21)
    tight = np.geomspace(*solution.TOLERANCES[solver.order], 9)[4:]
    ratio = 0.01 if solver.atol is None else solver.atol / solver.rtol
    asked = problem.with_(ts=ts, loss=solution.silent(problem, len(ts)), running=None)
    return Question("tolerance", "power of the tolerance", asked, subject,
                    {"tolerances": [float(f"{x:.3g}") for x in tight], "ratio": ratio})  # fmt: skip


def _decay(claim_id: str, subject: Subject, problem: Problem) -> Question:
    d = problem.field.state
    solver = subject.solver
    if isinstance(solver, FixedStep):
        size = float(np.linalg.norm(problem.theta[: d * d].reshape(d, d), 2))
        subject = replace(subject, solver=solver.with_step(0.025 / size))
    return Question("decay", "growth of a solution that decays", steps.long_decay(problem), subject, {})


def loss_text(loss: object) -> tuple[str, list[Any], list[Any]]:
    """A loss of y as text, with its weights w and targets c."""
    match loss:
        case losses.Linear():
            return "(w * y).sum()", loss.weight.tolist(), []
        case losses.SquaredError():
            return "(w * (y - c) ** 2).sum() / 2", loss.weight.tolist(), loss.target.tolist()
        case losses.LogCosh():
            return "(w * torch.log(torch.cosh(y - c))).sum()", loss.weight.tolist(), loss.target.tolist()
        case _:
            raise BadInput(f"no text is known for the loss {type(loss).__name__}", "a loss of your own",
                           "odecheck show ROW, which runs the case again with odecheck")  # fmt: skip


def _without_integral(problem: Problem) -> Problem:
    if problem.running is not None:
        raise BadInput(f"problem {problem.name!r} has an integral in its loss", "it needs a state of its own",
                       "odecheck show ROW, which runs the case again with odecheck")  # fmt: skip
    return problem


def _parts_of_gradient(claim_id: str, subject: Subject, problem: Problem) -> Sequence[Problem]:
    match claim_id:
        case "NODE-1":
            states = exact_solution(problem).value
            return [problem.restarted(i, states[i]) if i else problem for i in range(len(problem.ts) - 1)]
        case "DER-1":
            return derivatives.each_alone(problem)
        case "DER-2":
            return derivatives.all_seen(problem)
        case "DER-3":
            assert isinstance(subject.solver, FixedStep)
            return derivatives.on_grid(problem, subject.solver.step)
        case "DER-4":
            return derivatives.interior_only(problem)
        case "DER-5" | "DER-6":
            return derivatives.turned(problem)
        case _:
            return (problem,)


WANTED = {"NODE-1": ("start",), "NODE-2": ("field.p",), "NODE-3": ("times",), "DER-2": ("times",),
          "DER-3": ("times",), "DER-6": ("times",)}  # fmt: skip


def _gradient(claim_id: str, subject: Subject, problem: Problem) -> Question:
    finest, wanted = _finest(subject), WANTED.get(claim_id, ("start", "field.p"))

    def gap(part: Problem) -> float:
        got, truth = finest.gradient(part), exact_gradient(part)
        pairs = {"start": (got.y0, truth.y0), "field.p": (got.theta, truth.theta), "times": (got.ts, truth.ts)}
        return max(float(np.max(np.abs(a - b.value))) for a, b in (pairs[name] for name in wanted))

    parts = _parts_of_gradient(claim_id, subject, problem)
    part = _without_integral(_worst(parts, gap) if len(parts) > 1 else parts[0])
    sizes = {"start": part.y0.size, "field.p": len(part.theta), "times": len(part.ts)}
    first = {"start": 0, "field.p": part.y0.size, "times": part.y0.size + len(part.theta)}
    loss, w, c = loss_text(part.loss)
    indices = [first[name] + i for name in wanted for i in range(sizes[name])]
    if claim_id == "DER-9":
        import torch

        from ..engines.base import jumps_of

        jump = torch.tensor([part.field.at], dtype=torch.float64)  # type: ignore[attr-defined]
        finest = replace(finest, solver=jumps_of(finest.engine).told(finest.solver, jump))
    return Question("gradient", f"derivative in {', '.join(wanted)}", part, finest,
                    {"loss": loss, "w": w, "c": c, "wanted": ", ".join(wanted), "indices": indices,
                     "sizes": [sizes[name] for name in wanted]})  # fmt: skip


_ROW = "torch.cat([x.ravel() for x in torch.autograd.grad({}, leaves, {}=True)])"
_V = "v = torch.linspace(1, -0.5, y0.size).reshape(y0.shape)"
_HVP = "true = H @ v.numpy().ravel()"
ROUTES: dict[str, tuple[list[str], str, bool]] = {
    "HES-1": (["leaves = [start, field.p]", f"slope = {_ROW.format('L(start)', 'create_graph')}",
               f"observed = torch.stack([{_ROW.format('g', 'retain_graph')} for g in slope])"], "true = H", True),
    "HES-2": (["observed = torch.autograd.functional.hessian(L, start).reshape(y0.size, -1)"], "true = H", False),
    "HES-3": (["(slope,) = torch.autograd.grad(L(start), start, create_graph=True)",
               "(L(start) + slope.square().sum() / 2).backward()  # a gradient penalty",
               "observed = torch.cat([start.grad.ravel(), field.p.grad])"],
              "g = np.array([(at((i, 1e-4)) - at((i, -1e-4))) / 2e-4 for i in range(n)])\n"
              "true = g + H[:, :y0.size] @ g[:y0.size]", True),
    "HES-4": ([_V, "observed = torch.autograd.functional.hvp(L, start, v)[1].ravel()"], _HVP, False),
    "HES-5": ([_V, "observed = torch.autograd.functional.vhp(L, start, v)[1].ravel()"], _HVP, False),
    "HES-6": (["observed = torch.func.hessian(L)(start.detach()).reshape(y0.size, -1)"], "true = H", False),
    "HES-7": (["observed = torch.func.jacrev(torch.func.grad(L))(start.detach()).reshape(y0.size, -1)"], "true = H",
              False),
    "HES-8": ([_V, "observed = torch.func.jvp(torch.func.grad(L), (start.detach(),), (v,))[1].ravel()"], _HVP, False),
}  # fmt: skip


def _hessian(claim_id: str, subject: Subject, problem: Problem) -> Question:
    loss, w, c = loss_text(_without_integral(problem).loss)
    route, answer, with_parameters = ROUTES[claim_id]
    n = problem.y0.size + (len(problem.theta) if with_parameters else 0)
    variables: Variables = {"loss": loss, "w": w, "c": c, "route": route, "answer": answer, "n": n}
    return Question("hessian", "second derivative", problem, _finest(subject), variables, relative=True)


_CHANGES = {
    "USE-2": ("self.pace", "with torch.no_grad(): field.inner.p.mul_(1.25)"),
    "USE-3": ("self.speed", "field.speed = 1.25"),
    "USE-4": ("self.pace", "field.pace = torch.full_like(field.pace, 1.25)"),
    "USE-6": ("self.pace", "field.inner.p.data = 1.25 * field.inner.p.data"),
}


def _use(claim_id: str, subject: Subject, problem: Problem) -> Question:
    pace, change = _CHANGES[claim_id]
    return Question("use", "derivative, when the module was changed before backward()", problem, subject,
                    {"pace": pace, "change": change, "after": ""}, relative=True)  # fmt: skip


def _use_twice(claim_id: str, subject: Subject, problem: Problem) -> Question:
    """Two solves of one module whose speed changes, against those of two modules."""
    again = "value = value + solve({}, start, torch.tensor(ts), HOW).square().sum()"
    return Question(
        "use", "derivative, when the module was changed between two solves", problem, subject,
        {"pace": "self.speed", "change": "field.speed = 1.25; " + again.format("field"),
         "after": "other = Paced(field.inner); other.speed = 1.25\n    if not change:\n        "
         + again.format("other") + "\n    "}, relative=True)  # fmt: skip


def _precision(claim_id: str, subject: Subject, problem: Problem) -> Question:
    if isinstance(subject.solver, Adaptive):
        subject = replace(subject, solver=replace(subject.solver, rtol=1e-4, atol=None))
    return Question("precision", "share of calls that are not in float32", problem, subject, {})


_EVENTS = {
    "EVT-1": ["observed, true = np.r_[time.item(), states[-1, 0].detach().numpy()], exact_event(z)"],
    "EVT-2": ["rows = [flat(torch.autograd.grad(x, leaves, retain_graph=True)) for x in (time, *states[-1, 0])]",
              "move = lambda i, h: exact_event(z + h * np.eye(len(z))[i])",
              "observed, h = torch.stack(rows).numpy(), 1e-3",
              "true = np.stack([(8 * (move(i, h) - move(i, -h)) - move(i, 2 * h) + move(i, -2 * h)) / (12 * h) "
              "for i in range(len(z))], 1)"],
    "EVT-3": ["value, matrices = {value}, []",
              "slope = flat(torch.autograd.grad(value, leaves, create_graph=True))",
              "how = dict(retain_graph=True, allow_unused=True, materialize_grads=True)",
              "back = lambda g: torch.autograd.grad(g, leaves, **how)",
              "observed = torch.stack([flat(back(g + 0 * start.sum())) for g in slope]).numpy()",
              "I, h, n = np.eye(len(z)), 1e-3, range(len(z))", "at = lambda *m: {exact}",
              "true = np.array([[(at(h * I[i], h * I[j]) - at(h * I[i], -h * I[j]) - at(-h * I[i], h * I[j]) "
              "+ at(-h * I[i], -h * I[j])) / (4 * h * h) for j in n] for i in n])"],
}  # fmt: skip
_OF_TIME = ("time", "exact_event(z + sum(m))[0]")
_OF_STATE = ("states[-1].square().sum() / 2", "np.sum(exact_event(z + sum(m))[1:] ** 2) / 2")


def _event(claim_id: str, subject: Subject, problem: Problem) -> Question:
    which = _OF_TIME if problem.theta[:4].any() is np.False_ else _OF_STATE
    route = [line.replace("{value}", which[0]).replace("{exact}", which[1]) for line in _EVENTS[claim_id]]
    plain = replace(subject.solver, land=False) if isinstance(subject.solver, Adaptive) else subject.solver
    what = {"EVT-1": "time or state", "EVT-2": "first derivative"}.get(claim_id, "second derivative")
    return Question("event", what,
                    problem, _finest(replace(subject, solver=plain)), {"route": route})  # fmt: skip


QUESTIONS: tuple[tuple[tuple[str, ...], Callable[[str, Subject, Problem], Question]], ...] = (
    (("SOL-2", "SOL-13", "SOL-14"), _solution),
    (("SOL-3", "SOL-4", "SOL-10", "SOL-11"), _order),
    (("SOL-5",), _tolerance),
    (("SOL-12",), _decay),
    (("NODE-1", "NODE-2", "NODE-3", *(f"DER-{i}" for i in range(1, 10))), _gradient),
    (tuple(ROUTES), _hessian),
    (tuple(_EVENTS), _event),
    (tuple(_CHANGES), _use),
    (("USE-5",), _use_twice),
    (("DER-13",), _precision),
)
