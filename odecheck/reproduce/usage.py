"""Questions about use: second derivatives by every route, modules that change, number types, events."""

from __future__ import annotations

from dataclasses import replace

from odecheck_reference import Problem

from odecheck.claims.libraries import events as event_claims
from odecheck.claims.libraries.parameters import loosened
from odecheck.claims.shared.graph import no_integral
from odecheck.engines.script_call import Call
from odecheck.solvers import Adaptive
from odecheck.subject import Subject

from .question import Question, Variables, finest, loss_text

_ROW = "torch.cat([x.ravel() for x in torch.autograd.grad({}, leaves, {}=True)])"
_V = "v = torch.linspace(1, -0.5, y0.size, dtype=torch.float64).reshape(y0.shape)"
_HVP = "true = H @ v.numpy().ravel()"
ROUTES: dict[str, tuple[list[str], str, bool]] = {
    "HES-1": (
        [
            "leaves = [start, field.p]",
            f"slope = {_ROW.format('L(start)', 'create_graph')}",
            f"observed = torch.stack([{_ROW.format('g', 'retain_graph')} for g in slope])",
        ],
        "true = H",
        True,
    ),
    "HES-2": (["observed = torch.autograd.functional.hessian(L, start).reshape(y0.size, -1)"], "true = H", False),
    "HES-3": (
        [
            "(slope,) = torch.autograd.grad(L(start), start, create_graph=True)",
            "(L(start) + slope.square().sum() / 2).backward()  # a gradient penalty",
            "observed = torch.cat([start.grad.ravel(), field.p.grad])",
        ],
        "g = np.array([(at((i, 1e-4)) - at((i, -1e-4))) / 2e-4 for i in range(n)])\n"
        "true = g + H[:, :y0.size] @ g[:y0.size]",
        True,
    ),
    "HES-4": ([_V, "observed = torch.autograd.functional.hvp(L, start, v)[1].ravel()"], _HVP, False),
    "HES-5": ([_V, "observed = torch.autograd.functional.vhp(L, start, v)[1].ravel()"], _HVP, False),
    "HES-6": (["observed = torch.func.hessian(L)(start.detach()).reshape(y0.size, -1)"], "true = H", False),
    "HES-7": (
        ["observed = torch.func.jacrev(torch.func.grad(L))(start.detach()).reshape(y0.size, -1)"],
        "true = H",
        False,
    ),
    "HES-8": ([_V, "observed = torch.func.jvp(torch.func.grad(L), (start.detach(),), (v,))[1].ravel()"], _HVP, False),
}


def hessian(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """HES-1 to HES-8."""
    loss, constants = loss_text(no_integral(problem).loss)
    route, answer, with_parameters = ROUTES[claim_id]
    n = problem.y0.size + (len(problem.theta) if with_parameters else 0)
    variables: Variables = {"loss": loss, "constants": constants, "route": route, "answer": answer, "n": n}
    return Question("hessian", "second derivative", problem, finest(subject), variables, relative=True)


CHANGES = {
    "USE-2": ("self.pace", "with torch.no_grad(): field.inner.p.mul_(1.25)"),
    "USE-3": ("self.speed", "field.speed = 1.25"),
    "USE-4": ("self.pace", "field.pace = torch.full_like(field.pace, 1.25)"),
    "USE-6": ("self.pace", "field.pace.data = 1.25 * field.pace.data"),
}


BUFFER = "torch.nn.Buffer(torch.ones(()))"
MADE = {"USE-6": "torch.nn.Parameter(torch.ones(()))"}


def changed(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """USE-2 to USE-4, USE-6: a module that changes between the solve and backward()."""
    pace, change = CHANGES[claim_id]
    variables: Variables = {"pace": pace, "made": MADE.get(claim_id, BUFFER), "change": change, "after": ""}
    return Question(
        "use", "derivative, when the module was changed before backward()", problem, subject, variables, relative=True
    )


def changed_between(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """USE-5: two solves of one module whose speed changes, against those of two modules."""

    def again(call: Call, field: str) -> str:
        return f"value = value + solve({field}, start, torch.tensor(ts), {call.how}).square().sum()"

    def after(call: Call) -> str:
        return (
            f"other = Paced(field.inner); other.speed = 1.25\n    if not change:\n        {again(call, 'other')}\n    "
        )

    def change(call: Call) -> str:
        return f"field.speed = 1.25; {again(call, 'field')}"

    variables: Variables = {"pace": "self.speed", "made": BUFFER, "change": change, "after": after}
    return Question(
        "use", "derivative, when the module was changed between two solves", problem, subject, variables, relative=True
    )


def precision(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """DER-13: the number type of the states that the field is asked with."""
    return Question("precision", "share of calls that are not in float32", problem, loosened(subject), {})


EVENTS = {
    "EVT-1": ["observed, true = np.r_[time.item(), states[-1, 0].detach().numpy()], exact_event(z)"],
    "EVT-2": [
        "rows = [flat(torch.autograd.grad(x, leaves, retain_graph=True)) for x in (time, *states[-1, 0])]",
        "move = lambda i, h: exact_event(z + h * np.eye(len(z))[i])",
        "observed, h = torch.stack(rows).numpy(), 1e-3",
        "true = np.stack([(8 * (move(i, h) - move(i, -h)) - move(i, 2 * h) + move(i, -2 * h)) / (12 * h) "
        "for i in range(len(z))], 1)",
    ],
    "EVT-3": [
        "value, matrices = {value}, []",
        "slope = flat(torch.autograd.grad(value, leaves, create_graph=True))",
        "how = dict(retain_graph=True, allow_unused=True, materialize_grads=True)",
        "back = lambda g: torch.autograd.grad(g, leaves, **how)",
        "observed = torch.stack([flat(back(g + 0 * start.sum())) for g in slope]).numpy()",
        "I, h, n = np.eye(len(z)), 1e-3, range(len(z))",
        "at = lambda *m: {exact}",
        "true = np.array([[(at(h * I[i], h * I[j]) - at(h * I[i], -h * I[j]) - at(-h * I[i], h * I[j]) "
        "+ at(-h * I[i], -h * I[j])) / (4 * h * h) for j in n] for i in n])",
    ],
    "EVT-4": [
        "turned = torch.stack([0 * states[-1, 0, 0], -0.75 * states[-1, 0, 1]])[None]",
        "end = torch.stack([time.reshape(()), torch.tensor(ts[1])])",
        "after = odeint(field, turned, end, {how})[-1, 0]",
        "rows = [flat(torch.autograd.grad(x, leaves, retain_graph=True)).numpy() for x in after]",
        "observed = np.r_[after.detach().numpy(), *(np.r_[g[1:3], -g[-1]] for g in rows)]",
        "def bounced(x, v, g):  # position and speed at ts[1], in closed form",
        "    s = np.sqrt(v * v + 2 * g * x); left = ts[1] - ts[0] - (v + s) / g",
        "    return np.array([0.75 * s * left - g * left * left / 2, 0.75 * s - g * left])",
        "given = np.r_[y0[0], -p[5]]",
        "slopes = [np.imag(bounced(*(given + 1e-30j * unit))) / 1e-30 for unit in np.eye(3)]",
        "true = np.r_[bounced(*given), np.stack(slopes, 1).ravel()]",
    ],
}
_OF_TIME = ("time", "exact_event(z + sum(m))[0]")
_OF_STATE = ("states[-1].square().sum() / 2", "np.sum(exact_event(z + sum(m))[1:] ** 2) / 2")


_OF_TIME = ("time", "exact_event(z + sum(m))[0]")
_OF_STATE = ("states[-1].square().sum() / 2", "np.sum(exact_event(z + sum(m))[1:] ** 2) / 2")


def event(claim_id: str, subject: Subject, problem: Problem, worst: str) -> Question:
    """EVT-1 to EVT-4."""
    event_claims.event_of(problem)
    of_time = worst.startswith("[0") if worst else not problem.theta[:4].any()
    which = _OF_TIME if of_time else _OF_STATE

    def route(call: Call) -> list[str]:
        found = [line.replace("{value}", which[0]).replace("{exact}", which[1]) for line in EVENTS[claim_id]]
        return [line.replace("{how}", call.how) for line in found]

    plain = replace(subject.solver, land=False) if isinstance(subject.solver, Adaptive) else subject.solver
    what = {
        "EVT-1": "time or state",
        "EVT-2": "first derivative",
        "EVT-3": "second derivative",
        "EVT-4": "state after a bounce, or its derivative",
    }[claim_id]
    return Question(
        "event",
        what,
        problem,
        finest(replace(subject, solver=plain)),
        {"route": route, "needs_truth": claim_id != "EVT-4"},
    )
