"""Solves that are unusual: judged as the user runs them, or refused in words, and never an exception of ours."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

import odecheck
from odecheck.watching.step import watch

from .mistakes import UNIT, Dense, trained
from .steps import stepped

T = torch.tensor(UNIT)


class Second(nn.Module):
    """A module of y, called as one of t and y."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, y):
        return self.inner(y)


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_under_autocast_the_solve_is_posed_again_as_it_was(solve):
    """The step's own gradients are in bfloat16's precision, and the row's are these; the rounding is said as a note."""
    torch.manual_seed(0)
    field, y0 = Dense(), torch.randn(4, 3)

    def run():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = solve(field, y0, T, rtol=1e-2, atol=1e-2)[-1].square().mean()
        loss.backward()
        return [p.grad for p in field.parameters() if p.grad is not None]

    expected = [g.clone() for g in run()]
    field.zero_grad()
    with watch() as step:
        got = run()
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    assert step.findings == []
    assert [note.kind for note in step.rows[0].notes if note.kind == "half precision"]
    assert step.rows[0].quantities["dL/dtheta"].error > 1e-4  # bfloat16's, and not float32's 1e-6
    assert step.rows[0].verdict == "holds", str(step)


def test_bfloat16_that_hurts_is_a_finding():
    def make():
        field = Dense().bfloat16()
        for p in field.parameters():
            p.data.mul_(4)
        return trained(field, torch.randn(4, 3).bfloat16(), solve=odeint, rtol=1e-5, atol=1e-5, times=(0.0, 3.0))

    assert [f.kind for f in stepped(make).rows[0].findings] == ["half precision"]


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_an_evaluation_without_gradients_has_its_solution_judged(solve):
    def run():
        with torch.no_grad():
            solve(Dense(), torch.randn(4, 3), T, rtol=1e-5, atol=1e-6)

    row = stepped(lambda: run).rows[0]
    assert list(row.quantities) == ["solution"] and row.verdict == "holds"
    assert [note.kind for note in row.notes] == ["no gradient"]


def test_a_gradient_with_a_graph_of_its_own_is_judged():
    def make():
        field, y0 = Dense(), torch.randn(4, 3, requires_grad=True)

        def run():
            y = odeint(field, y0, T, rtol=1e-5, atol=1e-6)[-1]
            (g,) = torch.autograd.grad(y.square().sum(), y0, create_graph=True)
            (g.square().sum() + y.sum()).backward()

        return run

    step = stepped(make)
    assert step.findings == [] and step.rows[0].verdict == "holds"
    assert {"dL/dy0", "dL/dtheta"} <= set(step.rows[0].quantities)


@pytest.mark.parametrize(
    ("y0", "words"),
    [
        (torch.ones(2, dtype=torch.int64), "y.double()"),
        (torch.ones(2) + 0j, "torch.view_as_real(field"),
    ],
)
def test_a_state_of_other_numbers_is_refused_in_words(y0, words):
    with watch() as step:
        odeint(lambda t, y: y * 0, y0, torch.tensor(UNIT), method="euler")
    assert words in step.rows[0].reason
    assert [record.verdict for record in step.check()] == ["inconclusive", "inconclusive"]


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_a_complex_state_is_judged_as_what_its_row_says_to_type(solve):
    turn = nn.Parameter(torch.tensor([0.3, 2.0], dtype=torch.float64))
    y0 = torch.tensor([1.0 + 0.5j, -0.2j], dtype=torch.complex128)
    t = torch.tensor(UNIT, dtype=torch.float64)

    def field(t, y):
        return torch.view_as_complex(turn) * y - 0.1 * y * y.abs() ** 2

    with watch() as step:
        real = solve(
            lambda t, y: torch.view_as_real(field(t, torch.complex(y[..., 0], y[..., 1]))),
            torch.view_as_real(y0),
            t,
            rtol=1e-6,
            **({} if solve is odeint else {"adjoint_params": (turn,)}),
        )
        torch.view_as_complex(real)[-1].abs().square().sum().backward()
    assert step.rows[0].verdict == "holds" and not step.findings, str(step)
    assert "solution" in step.rows[0].quantities


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_a_tolerance_that_float32_cannot_keep_is_a_note(solve):
    """Judged by what float32 can do, against the float64 truth; a tolerance that costs steps for nothing is said."""
    row = stepped(lambda: trained(Dense(), torch.randn(4, 3), solve=solve, rtol=1e-10, atol=1e-12)).rows[0]
    assert row.verdict == "holds" and row.precision == "float32", row
    assert [note.kind for note in row.notes] == ["tolerance below rounding"]


def test_a_float32_solve_beyond_its_rounding_is_refuted(monkeypatch):
    """A solver whose steps are off by a hundred times what float32 rounds by is not excused by it."""
    solver = importlib.import_module("torchdiffeq._impl.rk_common")
    step_of = solver._runge_kutta_step

    def off(*args, **kwargs):
        y, *more = step_of(*args, **kwargs)
        return y * (1 + 2e-4), *more

    monkeypatch.setattr(solver, "_runge_kutta_step", off)
    row = stepped(lambda: trained(Dense(), torch.randn(4, 3), solve=odeint, rtol=1e-7, atol=1e-9)).rows[0]
    assert row.verdict == "refuted", row


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_coarse_numbers_are_not_called_coarse_steps(dtype):
    def make():
        field = Dense().to(dtype)
        return trained(field, torch.randn(4, 3).to(dtype), solve=odeint, method="rk4", options={"step_size": 0.1})

    row = stepped(make).rows[0]
    assert [f.kind for f in row.said] == ["half precision"] and not row.findings


def test_what_a_lazy_module_and_a_single_time_need_is_said():
    def lazy():
        return trained(
            nn.Sequential(nn.LazyLinear(3)), torch.ones(4, 3), solve=lambda f, *a, **k: odeint(Second(f), *a, **k)
        )

    assert "call the field once before the step" in stepped(lazy).rows[0].reason
    row = stepped(lambda: trained(Dense(), torch.ones(4, 3, requires_grad=True), times=(0.0,))).rows[0]
    assert "t = [start, end]" in row.reason and row.verdict == "inconclusive"


def test_a_call_that_is_not_understood_is_a_row():
    torchode = pytest.importorskip("torchode")
    net = nn.Linear(3, 3)
    term = torchode.ODETerm(lambda t, y: net(y))
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), torchode.IntegralController(1e-5, 1e-5, term=term))
    problem = torchode.InitialValueProblem(y0=torch.ones(2, 3), t_start=torch.zeros(2), t_end=torch.ones(2))
    with watch() as step:
        solver.solve(problem).ys.sum().backward()
    assert "not understood" in step.rows[0].reason and "t_eval" in step.rows[0].reason
    assert "torchode" in str(step.check()[0]) and "not judged" in str(step)


def test_a_solve_of_diffrax_is_a_row_that_says_what_to_type():
    diffrax, jax = pytest.importorskip("diffrax"), pytest.importorskip("jax")

    def loss(rate):
        term = diffrax.ODETerm(lambda t, y, args: -args * y)
        return diffrax.diffeqsolve(term, diffrax.Euler(), 0.0, 1.0, 0.5, 1.0, args=rate).ys[-1]

    with watch() as step:
        value, slope = jax.value_and_grad(loss)(0.5)
    assert (float(value), float(slope)) == (0.5625, -0.75)
    assert "odecheck verify" in step.rows[0].reason and step.rows[0].verdict == "inconclusive"


def test_what_the_row_of_diffrax_says_to_type_works():
    """The code of the row, with a field, a start and args in the place of their names."""
    diffrax, jax = pytest.importorskip("diffrax"), pytest.importorskip("jax")

    def field(t, y, args):
        return -args * y

    start = jax.numpy.array([1.0])
    control = diffrax.PIDController(1e-6, 1e-8)
    with watch() as step:
        diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Bosh3(), 0.0, 1.0, None, start, 0.5, stepsize_controller=control
        )
    code = step.rows[0].reason.partition("my_solve.py: ")[2].partition(", and type")[0]
    names = {"odecheck": odecheck, "diffrax": diffrax, "field": field, "y0": start}
    names |= {"ts": [0.0, 1.0], "args": jax.numpy.array(0.5)}
    exec(code, names)
    assert names["subjects"][0][0].name.startswith("field, Bosh3(rtol=1e-07)")


def test_a_cut_in_time_is_said_where_the_first_time_asks():
    class Timed(Dense):
        def forward(self, t, y):
            return self.net(y) * torch.cos(t.detach())

    field, begin = Timed(), torch.tensor(0.2, requires_grad=True)
    with watch() as step:
        times = torch.stack([begin, torch.tensor(1.0)])
        odeint_adjoint(field, torch.ones(2, 3), times, rtol=1e-5, atol=1e-6)[-1].square().sum().backward()
    assert {f.kind for f in step.rows[0].findings} == {"cut off"}


def test_half_precision_inside_of_a_float32_field_is_called_that():
    net = Dense().net.bfloat16()
    run = trained(lambda t, y: net(y.bfloat16()).float(), torch.ones(2, 3), solve=odeint, method="rk4")
    with watch() as step:
        run()
    said = {f.kind: f.text for f in step.rows[0].said}
    assert "the field runs in bfloat16 inside its forward" in said["half precision"]
    assert "float32 hurts" not in said


def test_the_luck_of_steps_across_jumps_is_not_laid_to_float32():
    heights = nn.Parameter(torch.tensor([0.7, -1.4, 0.5, -0.3, 1.1]))
    steps = trained(
        lambda t, y: -y + heights[min(int(t), 4)], torch.ones(3, 1), solve=odeint, times=(0.0, 5.0), rtol=1e-5
    )
    with watch() as step:
        steps()
    assert "float32 hurts" not in {f.kind for f in step.rows[0].said}


def test_a_parameter_that_moves_before_backward_is_named_where_torch_raises():
    field = Dense()
    with watch() as step:
        loss = odeint_adjoint(field, torch.ones(2, 3), T, rtol=1e-5, atol=1e-6)[-1].sum()
        with torch.no_grad():
            field.net[0].weight.mul_(0.9)
        with pytest.raises(RuntimeError, match="inplace"):
            loss.backward()
    (found,) = step.rows[0].findings
    assert found.kind == "changed before backward" and "net.0.weight" in found.text


def test_judging_compiles_nothing():
    made = []

    def backend(graph, inputs):
        made.append(graph)
        return graph.forward

    field = torch.compile(Dense(), backend=backend)
    run = trained(field, torch.ones(2, 3), solve=odeint)
    with watch() as step:
        run()
    before = len(made)
    assert before and step.rows[0].verdict is odecheck.HOLDS, str(step)
    assert len(made) == before
