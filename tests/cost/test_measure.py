"""Costs: the counted solve is the solve, counts are exact, and what nobody tells stays empty."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from odecheck_reference import catalogue
from torch import nn

from odecheck import Adaptive, FixedStep, Subject
from odecheck.cost import QUANTITIES, alone, counted, measure, pose, saved_bytes
from odecheck.cost import presets as shipped
from odecheck.engines.torchdiffeq import Adjoint, Backprop
from odecheck.errors import BadInput, Unsupported
from odecheck.instruments import told as tally
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.subject import SHIPPED
from tests.cost.computations import ENGINES, PROBLEM, Elsewhere, posed

# diffrax compiles for seconds, and evaluates a field that no counter of ours touches
CALLED = [subject for subject in shipped.subjects() if not subject.engine.name.startswith("diffrax")]


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("subject", CALLED, ids=lambda subject: subject.engine.name)
def test_the_counted_solve_is_the_uncounted_one_bit_for_bit(subject, quantity):
    at = posed(subject.engine, quantity, replace(subject.solver, rtol=1e-5))
    before = type(at.module), set(vars(at.module)), set(at.module._forward_pre_hooks)
    try:
        plain = at()
    except (Unsupported, RuntimeError) as refused:  # the library has no such derivative, and says so or breaks off
        with pytest.raises(type(refused)):
            at.counted()
        plain = None
    if plain is not None:
        found, _ = at.counted(rows=True)
        assert torch.equal(found, plain)
        with LiveBytes():
            assert torch.equal(at(), plain)
        try:
            saved_bytes(lambda: _same(at(), plain))
        except RuntimeError as refused:  # torch.func allows no such hooks: the bytes are empty then
            if "hooks" not in str(refused):
                raise
            assert math.isnan(measure(at, repeat=0)[0].saved_bytes)
        assert torch.equal(at(), plain)
    assert (type(at.module), set(vars(at.module)), set(at.module._forward_pre_hooks)) == before


def _same(found, plain):
    assert torch.equal(found, plain)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_evaluations_follow_from_steps(engine):
    counts = posed(engine).counted(rows=True)[1].counts(torch.tensor(PROBLEM.ts))
    # the first slope, one evaluation to choose the first step, and six new stages for every try
    assert counts.nfe_forward == 2 + 6 * (counts.accepted_forward + counts.rejected_forward)
    assert counts.rows_forward == counts.nfe_forward * PROBLEM.batch
    if engine.target == "steps":
        assert counts.accepted_backward == counts.rejected_backward == 0
    else:
        solves, asked = len(PROBLEM.ts) - 1, counts.nfe_backward
        tries = counts.accepted_backward + counts.rejected_backward
        # torchdiffeq chooses a first step for each interval, odecheck.odeint takes the forward solve's, and looks once
        # whether the field is still the one that was solved
        each, besides = (2, solves) if engine.name == "torchdiffeq adjoint" else (1, len(PROBLEM.ts) + 1)
        assert asked == each * solves + 6 * tries + besides
    # what is backpropagated through is evaluated once more nowhere; recorded steps are pulled back all at once
    assert {"torchdiffeq backprop": 0, "odecheck.discrete": 1}.get(engine.name, counts.nfe_backward) == (
        counts.nfe_backward
    )


TELLING = [subject for subject in CALLED if subject.engine.name.startswith(("torchode", "torchdyn"))]


@pytest.mark.parametrize("problem", [1, 3], ids=lambda i: catalogue.quick()[i].name)
@pytest.mark.parametrize("subject", TELLING, ids=lambda subject: subject.engine.name)
def test_steps_that_a_library_tells_explain_the_evaluations_that_we_count(subject, problem):
    """Some steps are rejected: forwards on the pendulum by torchdyn, backwards on the network by all."""
    problem = catalogue.quick()[problem].with_(running=None)
    at = posed(subject.engine, "gradient", replace(subject.solver, rtol=1e-6), problem)
    counts = at.counted()[1].counts(at.ts)
    if "by name" in subject.engine.name:  # the library makes the solver, so that none of ours can tell
        assert counts.accepted_forward is None and counts.nfe_forward > 0
        return
    tries = counts.accepted_forward + counts.rejected_forward, counts.accepted_backward + counts.rejected_backward
    assert counts.nfe_forward == 2 + 6 * tries[0]
    if subject.engine.target == "steps":
        assert (counts.nfe_backward, tries[1]) == (0, 0)
        return
    # every interval is a solve backwards, whose first step takes two; torchdyn's adjoint evaluates the field once more
    # at each output, for the derivatives in times
    more = len(problem.ts) if subject.engine.name == "torchdyn adjoint" else 0
    assert counts.nfe_backward == 2 * (len(problem.ts) - 1) + 6 * tries[1] + more


def test_steps_that_were_rejected_are_told_as_such():
    """Among these, where a step too many or too few would not be noticed by the number of evaluations."""
    peers = {s.engine.name: s for s in TELLING}
    problem = catalogue.quick()[3].with_(running=None)
    for name in ("torchdyn autograd", "torchdyn interpolated adjoint"):
        at = posed(peers[name].engine, "gradient", replace(peers[name].solver, rtol=1e-6), problem)
        counts = at.counted()[1].counts(at.ts)
        assert 0 < counts.rejected_forward < counts.accepted_forward
    back = peers["torchode Backsolve"]
    network = catalogue.quick()[1].with_(running=None)
    at = posed(back.engine, "gradient", replace(back.solver, rtol=1e-6), network)
    counts = at.counted()[1].counts(at.ts)
    assert 0 == counts.rejected_forward < counts.rejected_backward < counts.accepted_backward


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_fixed_steps_are_counted_by_hand(engine):
    at = posed(engine, "solution", FixedStep("rk4", step=0.25))
    counts = at.counted()[1].counts(at.ts)
    steps = round((PROBLEM.ts[-1] - PROBLEM.ts[0]) / 0.25)
    assert (counts.accepted_forward, counts.rejected_forward, counts.nfe_forward) == (steps, 0, 4 * steps)


def test_only_outputs_inside_a_step_are_dense_evaluations():
    landing, passing = Adaptive("dopri5", rtol=1e-5, land=True), Adaptive("dopri5", rtol=1e-5)
    for solver, forwards in ((landing, 0), (passing, len(PROBLEM.ts) - 1)):
        at = posed(Backprop(), "solution", solver)
        assert at.counted()[1].counts(at.ts).dense_evaluations == forwards
    at = posed(Backprop(), "solution", FixedStep("rk4", step=0.3))  # 0, .3, .6, .9, 1.2, 1.25: 0.5 lies inside
    assert at.counted()[1].counts(at.ts).dense_evaluations == 1
    both = posed(Adjoint(), "gradient", passing)
    assert both.counted()[1].counts(both.ts).dense_evaluations == 2 * (len(PROBLEM.ts) - 1)


class OnceMore(nn.Module):
    """A field that is evaluated once more at the end of each step, as a careless wrapper would."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, t, y):
        return self.inner(t, y)

    def callback_accept_step(self, t, y, dt):
        self.calls += 1
        self(t, y)


def test_one_more_evaluation_a_step_is_seen_and_the_users_callback_still_called():
    subject = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-5), Backprop())
    plain = pose(subject, PROBLEM, "solution")
    worse = pose(replace(subject, around=(OnceMore,)), PROBLEM, "solution")
    good, bad = (at.counted()[1].counts(at.ts) for at in (plain, worse))
    assert bad.nfe_forward - good.nfe_forward == good.accepted_forward == worse.module.calls > 3
    assert "callback_accept_step" not in vars(worse.module)


def test_a_copy_of_the_field_is_counted_too():
    at = posed(Backprop())
    with counted(at.module, at.solver) as counter:
        copy.deepcopy(at.module)(at.ts[0], at.y0)
    assert counter.forward.nfe == 1


def test_a_field_with_a_forward_of_its_own_is_counted():
    at = posed(Backprop())
    at.module.forward = at.module.forward  # as torch.compile leaves it
    assert torch.equal(at.counted()[0], at()) and at.counted()[1].forward.nfe > 0


def test_what_an_engine_tells_is_kept_and_the_rest_is_empty():
    cost, _ = measure(posed(Elsewhere(), "solution"), repeat=0)
    assert (cost.counts.accepted_forward, cost.counts.rejected_forward) == (7, 1)
    assert cost.counts.nfe_forward is None and math.isnan(cost.columns()["nfe_forward"])
    tally.tell(accepted_forward=1)  # nobody listens: nothing happens


def test_saved_and_live_bytes_of_a_known_computation():
    x = torch.ones(100, dtype=torch.float64, requires_grad=True)
    assert saved_bytes(lambda: x.exp().exp().sum().backward()) == 1600  # each exp keeps its result
    assert saved_bytes(lambda: [x.exp().sum().backward() for _ in range(3)]) == 800
    assert saved_bytes(lambda: x.detach().exp()) == 0
    assert saved_bytes(lambda: (x * x).sum().backward()) == 800  # one storage, kept twice


def test_memory_of_the_adjoint_does_not_grow_where_that_of_backpropagation_does():
    grown = {}
    for engine in ENGINES[:3]:
        few, many = (measure(posed(engine, solver=FixedStep("rk4", step=step)), repeat=0)[0] for step in (0.125, 0.025))
        grown[engine.name] = many.saved_bytes / few.saved_bytes
    assert grown["torchdiffeq backprop"] > 3 > 1.5 > max(grown["torchdiffeq adjoint"], grown["odecheck.odeint"])


def test_per_sample_and_alone():
    at = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-5), Backprop())
    cost, _ = measure(pose(at, PROBLEM), repeat=1)
    assert cost.per_sample["rows_forward"] == cost.counts.nfe_forward and cost.per_sample["cpu_seconds"] > 0
    each = alone(at, PROBLEM)
    assert len(each) == PROBLEM.batch
    assert all(one.batch == 1 and one.counts.nfe_forward > 0 for one in each)


def test_float32_and_an_integral_term():
    at = posed(Adjoint(), dtype=torch.float32)
    assert at().dtype == torch.float32 and torch.equal(at.counted()[0], at())
    with pytest.raises(BadInput, match="running=None"):
        posed(Backprop(), problem=catalogue.quick()[1])
