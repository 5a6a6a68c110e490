"""What odeint refuses, and how it says so."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from odecheck.ode import SolveError, odeint
from tests.ode.shared import Field, T, X

pytestmark = pytest.mark.usefixtures("in_float64")


def square(y: Tensor, factor: float = 1.0) -> Tensor:
    return factor * y * y


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "strictly increasing", lambda: odeint(square, X, torch.tensor([0.0, 1.0, 1.0]))),
        (ValueError, "strictly increasing", lambda: odeint(square, X, torch.tensor([0.0, 1.0, 0.5]))),
        (ValueError, "two or more times", lambda: odeint(square, X, torch.tensor([0.0]))),
        (ValueError, "rate 0 has shape", lambda: odeint(lambda t, y: y.sum(), X, T)),
        (ValueError, "one rate per state", lambda: odeint(lambda t, y: (y[0],), (X, X), T)),
        (TypeError, "not a tensor", lambda: odeint(lambda t, y: 1.0, X, T)),
        (TypeError, "pass t.to", lambda: odeint(lambda t, y: y, X, torch.tensor([0, 1]))),
        (TypeError, "rate 0 is torch.float32", lambda: odeint(lambda t, y: y.float(), X, T)),
        (TypeError, "view_as_real", lambda: odeint(lambda t, y: y, torch.view_as_complex(X[None])[0], T)),
        (TypeError, "float32 or float64", lambda: odeint(lambda t, y: y, torch.ones(2, dtype=torch.int64), T)),
        (TypeError, "have dtypes", lambda: odeint(lambda t, y: y, (X, X.float()), T)),
        (TypeError, "a parameter of shape", lambda: odeint(Field(), X.float(), T.float())),
        (TypeError, "rtol must be one number", lambda: odeint(lambda t, y: y, X, T, rtol=torch.ones(2))),
        (ValueError, "Invalid method", lambda: odeint(lambda t, y: y, X, T, method="magic")),
        (ValueError, "t has two times", lambda: odeint(lambda t, y: y, X, T, event_fn=lambda t, y: t)),
        (
            NotImplementedError,
            "events have derivatives by backward",
            lambda: torch.func.grad(lambda x: odeint(lambda t, y: y, x, T[:2], event_fn=lambda t, y: t)[0])(X),
        ),
        (ValueError, "'none' or 'zeros'", lambda: odeint(lambda t, y: y, X, T, unused="nothing")),  # pyright: ignore[reportArgumentType]
        (SolveError, "blow-up", lambda: odeint(lambda t, y: y * y, 10 * X.abs(), T)),
        (SolveError, "NaN", lambda: odeint(lambda t, y: y.sqrt(), X, T)),
        (
            SolveError,
            "max_num_steps",
            lambda: odeint(lambda t, y: torch.cos(99 * t) * y, X, T, method="dopri5", options={"max_num_steps": 2}),
        ),
        (
            ValueError,
            "adjoint_options",
            lambda: odeint(lambda t, y: y, X, T, method="rk4", options={"step_size": 0.1}, adjoint_method="dopri5"),
        ),
    ],
)
def test_refusals_say_what_and_why(error: type[Exception], words: str, call: Callable) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(("state", "times"), [(torch.float64, torch.float32), (torch.float32, torch.float64)])
@pytest.mark.parametrize("options", [{}, {"method": "rk4", "options": {"step_size": 0.05}}])
def test_times_may_have_more_or_fewer_digits_than_the_state(
    state: torch.dtype, times: torch.dtype, options: dict
) -> None:
    """y' = −t y: y(t) = exp(−t²/2) y(0); the field is given times that it can put beside its state."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -torch.cat([t[None], y])[0] * y

    t, x = T.to(times).requires_grad_(), X.to(state).requires_grad_()
    exact = torch.exp(-(T**2) / 2)
    y = odeint(field, x, t, rtol=1e-6, atol=1e-6, **options)
    assert y.dtype == state
    torch.testing.assert_close(y.double(), exact[:, None] * X, rtol=1e-4, atol=1e-6)
    gx, gt = torch.autograd.grad(y[-1].sum(), [x, t])
    assert (gx.dtype, gt.dtype) == (state, times)
    torch.testing.assert_close(gx.double(), exact[-1].expand(2), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gt[-1].double(), -exact[-1] * X.sum(), rtol=1e-4, atol=1e-6)
    _, moved = torch.func.jvp(
        lambda t: odeint(field, x.detach(), t, **options)[-1], (t.detach(),), (t.detach() * 0 + 1,)
    )
    assert moved.dtype == state
    torch.testing.assert_close(moved.double(), -exact[-1] * X, rtol=1e-4, atol=1e-6)


def test_times_that_only_float64_can_tell_apart_stay_apart() -> None:
    """At t = 1e6 float32 resolves 1/16: rounded times would make this interval empty."""
    t = torch.tensor([1e6, 1e6 + 0.01], dtype=torch.float64)
    y = odeint(lambda t, y: torch.ones_like(y), torch.zeros(1, dtype=torch.float32), t)
    assert float(y[-1]) == pytest.approx(0.01, rel=1e-4)
