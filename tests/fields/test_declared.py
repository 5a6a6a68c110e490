"""A module of one's own as an HBNODE or an AdamNODE: its own f in the paper's equation, and what it makes of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from odecheck_reference.fields import Fixed, Free, Learnt
from torch import nn

from odecheck import AdamParts, Adaptive, BadInput, HeavyBallParts, Subject, module_pairs
from odecheck.claims import ALL
from odecheck.engines.own import Closed
from odecheck.record import evaluate

CLAIMS = {claim.id: claim for claim in ALL}
STATE = torch.tensor([[0.5, 1.0, 0.0, 0.3]])


def network(*widths: int) -> nn.Sequential:
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


class Ball(nn.Module):
    """As in published code: the rate comes before the network, and the state is (batch, 2, d)."""

    def __init__(self, sign: float = -1.0, spring: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gamma = nn.Parameter(torch.tensor([-1.0]))
        self.net, self.sign, self.spring = network(2, 3, 2), sign, spring

    def forward(self, t, y):
        h, m = y.chunk(2, 1)
        return torch.cat([m, self.sign * torch.sigmoid(self.gamma) * m + self.net(h) - self.spring * h], 1)


class Moments(nn.Module):
    def __init__(self, square: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.slow, self.square = nn.Parameter(torch.tensor(0.4)), square
        self.net = network(3, 3, 2)

    def f(self, t, h):
        return self.net(torch.cat([h, torch.ones_like(h[:, :1]) * t], 1))

    def forward(self, t, y):
        h, m, v = y.chunk(3, 1)
        f = self.f(t, h)
        return torch.cat([-m / (v + 1e-3).sqrt(), 0.6 * (-f - m), self.slow * (self.square * f * f - v)], 1)


def verdicts(module: nn.Module, state: torch.Tensor, parts: HeavyBallParts | AdamParts, claims: list[str]):
    subject, problem = module_pairs(module, state, parts=parts)[0]
    subject = Subject(subject.field, Adaptive("dopri5", rtol=1e-6), Closed())
    return {name: evaluate(CLAIMS[name], subject, problem).verdict for name in claims}


PLAIN = HeavyBallParts("net", "sigmoid(gamma)")


def test_a_right_heavy_ball_is_what_the_paper_says_with_parameters_in_another_order():
    shaped = verdicts(Ball(), STATE.reshape(1, 2, 2), PLAIN, ["HB-1", "HB-2", "NODE-2"])
    assert shaped == {"HB-1": "holds", "HB-2": "holds", "NODE-2": "holds"}
    assert verdicts(Ball(), STATE, PLAIN, ["HB-1"]) == {"HB-1": "holds"}


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        (Ball(sign=1.0), PLAIN),
        (Ball(sign=-1.01), PLAIN),
        (Ball(spring=0.1), PLAIN),
        (Ball(), HeavyBallParts("net", "softplus(gamma)")),
        (Ball(), HeavyBallParts("net", "1.01 * sigmoid(gamma)")),
    ],
)
def test_a_wrong_heavy_ball_is_refuted(module, parts):
    assert verdicts(module, STATE, parts, ["HB-1"]) == {"HB-1": "refuted"}


def test_a_spring_is_declared():
    assert verdicts(Ball(spring=0.1), STATE, HeavyBallParts("net", "sigmoid(gamma)", 0.1), ["HB-8"])["HB-8"] == "holds"


@pytest.mark.parametrize(("square", "verdict"), [(1.0, "holds"), (0.99, "refuted")])
def test_moments_with_a_force_of_its_own(square, verdict):
    parts = AdamParts(lambda module, t, h: module.f(t, h), 0.6, "slow")
    state = torch.tensor([[0.5, 1.0, 0.0, 0.3, 0.2, 0.4]])
    assert verdicts(Moments(square), state, parts, ["ADAM-1"]) == {"ADAM-1": verdict}


def test_rates_are_read_as_they_are_typed():
    def rates(parts):
        _, problem = module_pairs(Ball(), STATE, parts=parts)[0]
        return problem.field.gamma, problem.field.xi

    assert rates(PLAIN) == (Learnt("sigmoid", 1.0), Fixed(0.0))
    assert rates(HeavyBallParts("net", " 0.5*sigmoid(gamma)"))[0] == Learnt("sigmoid", 0.5)
    assert rates(HeavyBallParts("net", "gamma", 2)) == (Free(), Fixed(2.0))
    frozen = Ball()
    frozen.gamma.requires_grad_(False)
    found = module_pairs(frozen, STATE, parts=PLAIN)[0][1].field.gamma
    np.testing.assert_allclose(found.number, 1 / (1 + np.exp(1.0)), rtol=1e-7)


@pytest.mark.parametrize(
    ("state", "parts", "seen", "fix"),
    [
        (STATE[:, :3], PLAIN, "not 2 parts of one size", "h before m"),
        (STATE, HeavyBallParts("nett", "sigmoid(gamma)"), "no submodule 'nett'", "force='net'"),
        (STATE, HeavyBallParts("net", "sigmoid(gama)"), "no parameter of Ball", "0.5 * sigmoid"),
        (STATE, HeavyBallParts("net", "e * sigmoid(gamma)"), "no parameter of Ball", "0.5 * sigmoid"),
        (STATE, HeavyBallParts("net", "sin(gamma)"), "no parameter of Ball", "0.5 * sigmoid"),
        (STATE, HeavyBallParts("net", "net.0.weight"), "shape (3, 2)", "one number"),
        (STATE, HeavyBallParts("net", 0.5), "gamma belong neither", "damping='gamma'"),
        (STATE, {"force": "net"}, "the parts are", "HeavyBallParts"),
        (STATE, HeavyBallParts("net", None), "the rate None", "the name of a parameter"),  # type: ignore[arg-type]
        (STATE, HeavyBallParts("net", "sigmoid(gamma)", "gamma"), "both rates are of", "a parameter for each"),
        (STATE, HeavyBallParts("", "sigmoid(gamma)"), "belongs to ''", "the rate itself"),
        (STATE, HeavyBallParts("net", "sigmoid(gamma)", activation="relu"), "activation 'relu'", "softplus"),
        (STATE, HeavyBallParts("net", "sigmoid(gamma)", signs="other"), "signs is 'other'", "help("),  # type: ignore[arg-type]
        (STATE, HeavyBallParts(lambda m, t, h: h[:, :1], "sigmoid(gamma)"), "f gives of shape (1, 1)", "whole of f"),
        (STATE, HeavyBallParts(lambda m, t: t, "sigmoid(gamma)"), "f gives 'TypeError", "whole of f"),  # type: ignore[arg-type]
        (torch.ones(1, 6), PLAIN, "raised at the example state", "module(t, y)"),
    ],
)
def test_what_is_declared_wrongly_says_what_to_type(state, parts, seen, fix):
    with pytest.raises(BadInput) as refused:
        module_pairs(Ball(), state, parts=parts)
    assert seen in refused.value.seen and fix in refused.value.fix


def test_a_subject_bears_the_name_of_the_users_class_whatever_its_attributes_are_called():
    module = Ball()
    module.called = 3  # type: ignore[assignment]
    assert module_pairs(module, STATE, parts=PLAIN)[0][0].name.startswith("Ball, ")
    assert module_pairs(module, STATE)[0][0].name.startswith("Ball, ")


def test_a_force_that_is_given_more_than_h_is_refused():
    with pytest.raises(BadInput, match=r"is called with \[\(1, 3\)\]"):
        module_pairs(Moments(), torch.ones(1, 6), parts=AdamParts("net", 0.6, "slow"))
