"""What a field needs around its calls: float64 by default, a graph from its state on."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from odecheck import HOLDS
from odecheck.claims.papers.node import parameter_gradient, time_gradient
from odecheck.errors import BadInput
from odecheck.fields.circumstances import INTERIOR, DoubleByDefault, Needs, WithGraph, around, default_double, needs
from odecheck.record import evaluate
from odecheck.runner.own_fields import module_pairs
from odecheck.runner.validation import validate

Y0 = np.array([[1.0, 0.5], [0.2, -0.3], [-0.4, 0.7]])
TS = np.array([0.0, 0.5, 1.0])


class Of(nn.Module):
    """A network of (y, its own idea of t), 3 → 2."""

    def __init__(self, clock):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.clock = nn.Linear(3, 2), clock

    def forward(self, t, y):
        return torch.tanh(self.net(torch.cat([y, self.clock(t, y).to(y.dtype)], 1)))


class Energy(nn.Module):
    """A Hamiltonian field that takes for granted that somebody records a graph."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, t, y):
        (slope,) = torch.autograd.grad(self.net(y).sum(), y, create_graph=True)
        return torch.stack([slope[:, 1], -slope[:, 0]], 1)


class Both(Energy):
    def forward(self, t, y):
        return super().forward(t, y) @ (torch.eye(2) * t)


def rounded(t, y):
    return torch.ones(len(y), 1) * t


def exact(t, y):
    return torch.ones_like(y[:, :1]) * t


def filled(t, y):
    made = torch.zeros(len(y), 1)
    made[:] = t.expand(len(y), 1)
    return made


def drawn(t, y):
    return torch.rand(len(y), 1)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (Of(exact), Needs()),
        (Of(rounded), Needs(double=True)),
        (Of(filled), Needs(double=True)),
        (Of(drawn), Needs()),  # it is another number at each call, in either dtype
        (Of(lambda t, y: exact(t, y).float()), Needs()),  # a cast of its own stays
        (Energy(), Needs(graph=True)),
        (Both(), Needs(double=True, graph=True)),
        (nn.Linear(2, 3), Needs()),  # it takes no time, and never answers
    ],
    ids=["exact", "rounded", "filled", "drawn", "cast", "energy", "both", "raises"],
)
def test_a_field_gets_what_it_needs_and_nothing_else(field, found):
    field = field.double()
    assert needs(field, Y0, TS, converted=True) == found
    assert needs(field, Y0, TS, converted=False) == Needs(graph=found.graph)


def test_times_that_are_none_are_no_reason_to_raise():
    for ts in (np.zeros(0), np.array(0.5), np.array([np.nan, 1.0])):
        needs(Of(rounded).double(), Y0, ts, converted=True)


def test_a_rounded_time_is_seen_at_an_interior_time_alone():
    assert float(torch.tensor(INTERIOR)) != INTERIOR
    field, t, y = Of(rounded).double(), torch.zeros((), dtype=torch.float64), torch.tensor(Y0)
    with default_double():
        there = field(t, y)
    assert torch.equal(there, field(t, y))  # at zero nothing is rounded


def test_the_default_is_given_back_also_by_a_field_that_raises():
    for field in (around(Of(rounded).double(), Needs(double=True)), DoubleByDefault(nn.Linear(2, 2))):
        with contextlib.suppress(TypeError):
            field(torch.tensor(0.3, dtype=torch.float64), torch.tensor(Y0))
        assert torch.get_default_dtype() == torch.float32


def test_a_graph_is_recorded_for_those_who_record_one():
    field, t, y = WithGraph(Energy().double()), torch.zeros((), dtype=torch.float64), torch.tensor(Y0)
    with torch.no_grad():
        value = field(t, y)
    assert not value.requires_grad and not y.requires_grad
    assert field(t, y).requires_grad  # parameters lead there
    state = y.clone().requires_grad_()
    (got,) = torch.autograd.grad(field(t, state).sum(), state)
    assert got.abs().max() > 0


def verdicts(module):
    found = dict[str, str]()
    for subject, problem in module_pairs(module, torch.tensor(Y0, dtype=torch.float32)):
        try:
            validate(subject, problem)
        except BadInput as refused:
            found[subject.engine.name] = f"{refused.cause}; {refused.fix}"
            continue
        of = [evaluate(claim, subject, problem) for claim in (parameter_gradient, time_gradient)]
        found[subject.engine.name] = " ".join(record.verdict.value for record in of)
    return found


def test_numbers_that_forward_makes_are_judged_in_float64_where_the_module_is_copied_into_it():
    both = f"{HOLDS.value} {HOLDS.value}"
    assert verdicts(Of(rounded)) == {"torchdiffeq backprop": both, "torchdiffeq adjoint": both}
    mine = verdicts(Of(rounded).double())  # in float64 by itself, and rounds its times
    assert all("float32" in words for words in mine.values())


def test_what_a_field_needs_is_no_mercy_for_wrong_ones():
    class Detached(Energy):
        def forward(self, t, y):
            return super().forward(t, y).detach() @ torch.eye(2) * 1.0 + 0 * self.net(y)

    assert not any(HOLDS.value in words for words in verdicts(Detached()).values())


def test_where_the_steps_are_differentiated_there_is_a_graph_and_the_adjoint_is_told_what_to_type():
    found = verdicts(Energy())
    assert found["torchdiffeq backprop"] == f"{HOLDS.value} {HOLDS.value}"
    assert "torch.enable_grad()" in found["torchdiffeq adjoint"]


class Limited(nn.Module):
    """It counts its calls, its part does so too, and it raises beyond a number of them."""

    def __init__(self, limit, enters=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.part, self.limit, self.enters = Of(exact), limit, enters
        self.calls, self.part.calls = 3, 0

    def forward(self, t, y):
        if self.calls > self.limit:
            raise RuntimeError("too many calls")
        self.calls += 1
        self.part.calls += 1
        return self.part(t, y) * (1 + self.enters * self.part.calls)


def test_a_limit_on_the_count_of_calls_is_lifted():
    counts = {("", "calls"): 3, ("part", "calls"): 0}
    assert needs(Limited(40), Y0, TS, converted=True) == Needs(counts=counts)
    subject, problem = module_pairs(Limited(40), torch.tensor(Y0, dtype=torch.float32))[0]
    validate(subject, problem)
    assert evaluate(parameter_gradient, subject, problem).verdict is HOLDS
    calls = around(Limited(40), Needs(counts=counts))
    t, y = torch.tensor(0.5), torch.tensor(Y0, dtype=torch.float32)
    assert all(torch.equal(calls(t, y), Limited(40)(t, y)) for _ in range(100))


def test_what_raises_at_every_call_raises_and_a_count_that_enters_the_value_is_seen():
    broken = around(Limited(2), Needs(counts={("", "calls"): 3}))
    with pytest.raises(RuntimeError, match="too many calls"):
        broken(torch.tensor(0.5), torch.tensor(Y0, dtype=torch.float32))
    subject, problem = module_pairs(Limited(10**6, enters=1e-3), torch.tensor(Y0, dtype=torch.float32))[0]
    with pytest.raises(BadInput, match="two values"):
        validate(subject, problem)
