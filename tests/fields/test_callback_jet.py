"""What a callback into torch says of derivatives, and does not say."""

import numpy as np
import torch
from odecheck_reference import catalogue, gradient
from odecheck_reference.fields import Mlp
from torch import nn

from odecheck.fields.callback import ROWS_AT_ONCE, SECOND_AT_ONCE, CallbackField
from odecheck.fields.from_reference import torch_twin


def test_a_callback_has_the_jet_of_the_hand_derived_field():
    field = Mlp(2, 2, (3,), "tanh", time=True)
    rng = np.random.default_rng(0)
    theta, y = rng.standard_normal(field.params), rng.standard_normal((3, 2))
    callback = CallbackField(torch_twin(field)(torch.tensor(theta)), (2,))
    assert (callback.state, callback.params) == (field.state, field.params)
    exact, called = field.jet(0.3, y, theta, 2), callback.jet(0.3, y, theta, 2)
    for one, other in [(exact.value, called.value), (exact.first, called.first), (exact.second, called.second)]:
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-13)
    assert callback.jet(0.3, y, theta, 0).first is None
    assert callback.jet(0.3, y, theta, 1).second is None


def test_rows_are_asked_for_in_few_at_a_time_and_are_the_same():
    """40 rows: of a number and of a time for each, against the hand-derived field, and how many went into one graph."""
    field, asked = Mlp(2, 2, (8,), "tanh", time=True), []
    rng = np.random.default_rng(0)
    theta, y, times = rng.standard_normal(field.params), rng.standard_normal((40, 2)), rng.random((40, 1))
    module = torch_twin(field)(torch.tensor(theta))
    module.register_forward_pre_hook(lambda _, args: asked.append(len(args[1])))
    callback = CallbackField(module, (2,))
    for t in (0.3, times):
        for order in (0, 1, 2):
            asked.clear()
            called = callback.jet(t, y, theta, order)
            rows = [field.jet(float(t[i, 0]) if np.ndim(t) else t, y[i : i + 1], theta, order) for i in range(40)]
            for name in ("value", "first", "second")[: order + 1]:
                exact = np.concatenate([getattr(row, name) for row in rows])
                np.testing.assert_allclose(getattr(called, name), exact, rtol=0, atol=1e-12)
            assert sum(asked) == 40
            first = 2 * (1 + 2 + field.params)
            most = 40 if order == 0 and not np.ndim(t) else ROWS_AT_ONCE if order < 2 else SECOND_AT_ONCE // first
            assert max(asked) == max(1, most)


def test_a_callback_gives_the_reference_the_same_gradient():
    problem = catalogue.quick()[1]
    module = torch_twin(problem.field)(torch.tensor(problem.theta))
    called = problem.with_(field=CallbackField(module, (2,)), independent=False)
    one, other = gradient(problem), gradient(called)
    np.testing.assert_allclose(other.theta.value, one.theta.value, rtol=1e-11)
    np.testing.assert_allclose(other.ts.value, one.ts.value, rtol=1e-11)


def test_a_callback_without_a_batching_rule_or_a_derivative():
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, *g):
            (x,) = ctx.saved_tensors
            return g[0] * x.cos() + 0 * float(x.sum())  # a number of the values: there is no batching of it

    class Field(nn.Module):
        def forward(self, t, y):
            return Sine.apply(y)

    class Constant(nn.Module):
        def forward(self, t, y):
            return torch.ones_like(y)

    y = np.array([[0.5, 1.0]])
    first = CallbackField(Field(), (2,)).jet(0.0, y, np.zeros(0), 1).first
    np.testing.assert_allclose(first[0, :, 1:], np.diag(np.cos(y[0])), atol=1e-15)
    assert not CallbackField(Constant(), (2,)).jet(0.0, y, np.zeros(0), 2).second.any()
