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
        (TypeError, "pass t.to", lambda: odeint(lambda t, y: y, X, T.float())),
        (TypeError, "rate 0 is torch.float32", lambda: odeint(lambda t, y: y.float(), X, T)),
        (TypeError, "view_as_real", lambda: odeint(lambda t, y: y, torch.view_as_complex(X[None])[0], T)),
        (TypeError, "float32 or float64", lambda: odeint(lambda t, y: y, torch.ones(2, dtype=torch.int64), T)),
        (TypeError, "have dtypes", lambda: odeint(lambda t, y: y, (X, X.float()), T)),
        (TypeError, "a parameter of shape", lambda: odeint(Field(), X.float(), T.float())),
        (TypeError, "rtol must be one number", lambda: odeint(lambda t, y: y, X, T, rtol=torch.ones(2))),
        (ValueError, "Invalid method", lambda: odeint(lambda t, y: y, X, T, method="magic")),
        (NotImplementedError, "events", lambda: odeint(lambda t, y: y, X, T, event_fn=lambda t, y: t)),
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
