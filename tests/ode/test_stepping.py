"""Steps are torchdiffeq's, with every method, and end where states are asked for."""

import pytest
import torch
from torch import Tensor

from odecheck.ode import odeint
from odecheck.ode.stepping import CAUTION, Pace, _norm
from odecheck.ode.user_field import UserField
from tests.ode.shared import CountingNothing, Field, T, X

pytestmark = pytest.mark.usefixtures("in_float64")


METHODS = {
    "dopri8": None,
    "dopri5": None,
    "bosh3": None,
    "fehlberg2": None,
    "adaptive_heun": None,
    "euler": 0.002,
    "midpoint": 0.01,
    "heun2": 0.01,
    "heun3": 0.01,
    "rk4": 0.05,
    "explicit_adams": 0.02,
    "implicit_adams": 0.02,
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_torchdiffeq(method: str) -> None:
    step = METHODS[method]
    options = {"rtol": 1e-6, "atol": 1e-6} if step is None else {"options": {"step_size": step}}
    if method == "explicit_adams":
        options["options"]["max_order"] = 4  # its default order is unstable
    times = torch.tensor([0.0, 0.333, 1.0]).double()  # between the points of every grid
    x = X.clone().requires_grad_()
    field = lambda t, y: -y * (1 + t)  # noqa: E731
    states = odeint(field, x, times, method=method, **options)
    decay = torch.exp(-(times + times**2 / 2))
    tolerance = 0.01 if method == "euler" else 2e-4
    torch.testing.assert_close(states.detach(), decay[:, None] * X, rtol=0, atol=tolerance)
    (gradient,) = torch.autograd.grad(states[1].sum(), x)
    torch.testing.assert_close(gradient, decay[1].expand(2), rtol=0, atol=tolerance)


def test_the_default_sees_what_only_the_parameter_gradient_sees() -> None:
    """y' = θ cos²(20 t) y at θ = 0: the state and its adjoint are constant; dL/dθ = ∫ cos²(20 t) dt."""
    theta = torch.tensor(0.0, requires_grad=True)
    field = lambda t, y: theta * torch.cos(20 * t) ** 2 * y  # noqa: E731
    exact = 0.5 + torch.sin(torch.tensor(40.0)) / 80

    def gradient(**options: object) -> Tensor:
        y = odeint(field, torch.ones(1), T[[0, 2]], rtol=1e-8, atol=1e-8, adjoint_params=(theta,), **options)
        return torch.autograd.grad(y[-1].sum(), theta)[0]

    assert float((gradient() - exact).abs()) < 1e-7
    assert float((gradient(adjoint_options={"norm": "seminorm"}) - exact).abs()) > 1e-3


def test_float32() -> None:
    field = CountingNothing().float()
    x, t = X.float().requires_grad_(), T.float()
    g = torch.func.hessian(lambda x: odeint(field, x, t, rtol=1e-5, atol=1e-6)[-1].square().sum())(x.detach())
    assert g.dtype == torch.float32
    wide = CountingNothing()
    h = torch.func.hessian(lambda x: odeint(wide, x, T)[-1].square().sum())(X)
    torch.testing.assert_close(g.double(), h, rtol=1e-3, atol=1e-4)


def test_a_pace_is_set_once_by_the_longest_step() -> None:
    pace = Pace()
    assert pace.options({"safety": 0.5}) == {"safety": 0.5}
    for dt in (0.1, -0.4, 0.2):
        pace.observe(torch.tensor(dt))
    pace.settle()
    assert pace.first_step == CAUTION * 0.4
    pace.observe(torch.tensor(9.0))
    pace.settle()
    assert pace.options({}) == {"first_step": CAUTION * 0.4}
    assert pace.options({"first_step": 0.01}) == {"first_step": 0.01}  # the user's own goes first


def test_every_requested_time_ends_a_step() -> None:
    field, t = Field(), torch.tensor([0.0, 0.1234, 0.77, 1.0])
    odeint(field, X, t, rtol=1e-3, atol=1e-3)
    ends = torch.tensor([*field.steps[1:], 1.0])
    assert all(float((ends - at).abs().min()) < 1e-12 for at in t[1:])


def test_the_norm_is_that_of_the_worst_sample() -> None:
    """Sixteen samples of which one moves: a norm over all of them together would be a quarter of it."""
    field = UserField(lambda t, y: y, True, 1, ())
    field.batch = (1,)
    shape, size = torch.Size((16, 2)), 32
    norm = _norm(field, None, [shape], [size], lambda flat: [flat.view(shape)], torch.device("cpu"))
    flat = torch.zeros(16, 2)
    flat[3] = torch.tensor([3.0, 4.0])
    assert float(norm(flat.flatten())) == pytest.approx((25 / 2) ** 0.5)


def test_a_norm_of_the_adjoint_is_given_its_parameters_in_the_callers_order() -> None:
    """Declared as (a tensor closed over, one of the module, a constant): the adjoint keeps them in another order."""
    seen: list[list[tuple[int, ...]]] = []

    def norm(parts: tuple[Tensor, ...]) -> Tensor:
        seen.append([tuple(x.shape) for x in parts])
        return torch.stack([x.abs().max() for x in parts]).max()

    field, free = Field(), torch.ones(2, 1).double().requires_grad_()
    declared = (free, field.layer.weight, field.frozen, field.layer.bias)

    def both(t: Tensor, y: Tensor) -> Tensor:
        return field(t, y) * free.sum()

    y = odeint(both, X, T[:2], adjoint_params=declared, adjoint_options={"norm": norm})
    assert not seen
    y.sum().backward()
    assert seen and all(shapes == [(), (2,), (2,), (2, 1), (2, 2), (2,)] for shapes in seen)
