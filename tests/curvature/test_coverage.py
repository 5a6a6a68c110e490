"""Calls that hooks do not see are refused or spoken of, and nothing else is taken for one."""

from __future__ import annotations

import warnings

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn
from torch.nn.functional import linear

from odecheck.curvature import exact_blocks, kronecker_factors
from odecheck.errors import CurvatureError
from odecheck.optim import SNOpt
from tests.curvature.test_kronecker import D, each_solve

TIMES = torch.tensor([0.0, 1.0], dtype=D)


class Ways(nn.Module):
    """y' = m(tanh(l(y))) with the weight of m used in several ways, and a layer that this solve does not use."""

    def __init__(self, way: str = "called") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.l, self.m, self.unused, self.way = nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(3, 3), way
        self.free = nn.Parameter(torch.ones(3))
        self.to(D)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        if self.way == "only parameters":
            return self.free * y.sin()
        if self.way == "neither called":
            return linear(torch.tanh(linear(y, self.l.weight)), self.m.weight)
        if self.way == "checkpointed":
            return self.m(torch.tanh(torch.utils.checkpoint.checkpoint(self.l, y, use_reentrant=False)))
        h = torch.tanh(self.l(input=y) if self.way == "by keyword" else self.l(y))
        if self.way == "not called":
            return linear(h, self.m.weight, self.m.bias)
        if self.way == "called and not":
            return self.m(h) + linear(h, self.m.weight)
        return self.m(h)


def back(field, solve=torchdiffeq.odeint_adjoint) -> None:
    y0 = torch.linspace(-1, 1, 12, dtype=D).reshape(4, 3)
    field.zero_grad()
    solve(field, y0, TIMES)[-1].square().sum(1).mean().backward()


@each_solve
@pytest.mark.parametrize("way", ["called", "by keyword", "checkpointed"])
def test_what_is_called_is_seen(solve, way):
    field = Ways(way)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks = exact_blocks(field, lambda: back(field, solve))
    for name in ("l", "m"):
        layer = getattr(field, name)
        slope = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], 1)
        torch.testing.assert_close(blocks[name].integrals[0].mean(0), slope, rtol=1e-11, atol=1e-13)
    assert set(blocks) == {"l", "m"}


@each_solve
def test_a_weight_that_is_used_besides_its_calls_is_refused(solve):
    field = Ways("called and not")
    with pytest.raises(CurvatureError, match=r"the weight of m is used besides calling"):
        kronecker_factors(field, lambda: back(field, solve))


@each_solve
def test_no_layer_called_is_refused(solve):
    field = Ways("neither called")
    precondition = SNOpt(field)
    back(field, solve)
    with pytest.raises(CurvatureError, match=r"solved with l, m, and no call of a layer was seen.*torch\.compile"):
        precondition.step()


@each_solve
def test_one_of_several_not_called_is_spoken_of_once(solve):
    field = Ways("not called")
    precondition = SNOpt(field, refresh=1)
    for first in (True, False):
        back(field, solve)
        slope = field.m.weight.grad.clone()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if first:
                with pytest.warns(UserWarning, match=r"^m took part in a solve without being called"):
                    precondition.step()
            else:
                precondition.step()
        assert torch.equal(field.m.weight.grad, slope)


@each_solve
def test_layers_that_are_frozen_or_take_no_part_are_not_missed(solve):
    """Also where all of a field's are, beside another field whose layers are called."""
    model = nn.ModuleDict({"one": Ways("only parameters"), "two": Ways(), "three": Ways("neither called")})
    model["three"].l.weight.requires_grad_(False)
    model["three"].m.weight.requires_grad_(False)
    precondition = SNOpt(model)
    y = torch.ones(4, 3, dtype=D)
    for name in ("one", "two", "three"):
        y = solve(model[name], y, TIMES)[-1]
    y.square().sum(1).mean().backward()
    before = model["two"].l.weight.grad.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        precondition.step()
    assert not torch.equal(model["two"].l.weight.grad, before)


@pytest.mark.parametrize("before", [False, True], ids=["compiled in the refresh", "compiled before"])
def test_a_compiled_field_is_preconditioned_or_refused(before):
    """Never neither: hooks that come after compilation are skipped."""
    torch._dynamo.reset()
    plain, field = Ways(), Ways()
    model = nn.ModuleDict({"f": torch.compile(field, backend="eager")})
    if before:
        back(model["f"])
    precondition, wanted = SNOpt(model), SNOpt(plain)
    back(plain)
    wanted.step()
    back(model["f"])
    try:
        precondition.step()
    except CurvatureError:
        return
    assert not before
    torch.testing.assert_close(field.l.weight.grad, plain.l.weight.grad, rtol=1e-10, atol=1e-12)
