"""What odeint takes, what it refuses and how it says so, and what it leaves alone."""

from collections.abc import Callable

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.ode import SolveError, odeint
from odecheck.second_order import hvp

pytestmark = pytest.mark.usefixtures("in_float64")

X, T = torch.tensor([0.3, -0.8]).double(), torch.tensor([0.0, 0.4, 1.0]).double()


class Field(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 2, dtype=torch.float64)
        self.frozen = nn.Parameter(torch.tensor([0.5, 2.0], dtype=torch.float64), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(1.5, dtype=torch.float64))
        self.register_buffer("calls", torch.tensor(0))
        self.steps: list[float] = []

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.layer(y) * t) * self.scale * self.frozen

    def callback_accept_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        assert y.shape == (2,)
        self.steps.append(float(t))

    def callback_accept_step_adjoint(self, t: Tensor, state: tuple[Tensor, ...], dt: Tensor) -> None:
        assert state[0].shape == (2,)
        self.steps.append(-float(t))


class CountingNothing(Field):
    """torch.func does not allow a field to change its own tensors."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.layer(y) * t) * self.scale * self.frozen


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


def test_hidden_tensors_are_refused() -> None:
    w = torch.tensor(2.0, requires_grad=True)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return w * y

    def through(w: Tensor) -> Tensor:
        return odeint(lambda t, y: w * y, X, T).sum()

    with pytest.raises(ValueError, match="adjoint_params"):
        odeint(field, X, T)
    for transform in (
        torch.func.grad(through),
        torch.func.jacfwd(through),
        torch.func.jacrev(torch.func.grad(through)),
    ):
        with pytest.raises(ValueError, match="adjoint_params"):
            transform(torch.tensor(2.0))
    with pytest.raises(ValueError, match="adjoint_params"):
        torch.func.vmap(through)(torch.ones(2))
    with pytest.raises(ValueError, match="adjoint_params"):
        odeint(field, X, T, adjoint_params=())
    with torch.no_grad():
        odeint(field, X, T)
    odeint(lambda t, y: w.detach() * y, X, T)
    torch.func.vmap(lambda x: odeint(lambda t, y: w.detach() * y, x, T))(torch.ones(3, 2))


def test_a_function_may_close_over_modules() -> None:
    net = nn.Linear(2, 2, dtype=torch.float64)

    def inner(y: Tensor) -> Tensor:
        return torch.tanh(net(y))

    def loss(weights: dict[str, Tensor]) -> Tensor:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def forward(self) -> Tensor:
                return odeint(lambda t, y: inner(y), X, T).square().sum()

        return torch.func.functional_call(Model(), {f"net.{k}": v for k, v in weights.items()}, ())

    weights = {k: v.detach() for k, v in net.named_parameters()}
    gradient = torch.func.grad(loss)(weights)
    value = odeint(lambda t, y: inner(y), X, T).square().sum()
    for ours, theirs in zip(torch.autograd.grad(value, list(net.parameters())), gradient.values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_tensor_that_was_only_lent_is_noticed() -> None:
    """Reached through a list, where no swap can find it."""
    nets = [nn.Linear(2, 2, dtype=torch.float64)]
    state = odeint(lambda t, y: nets[0](y), X, T, adjoint_params=tuple(nets[0].parameters()))
    nets[0] = nn.Linear(2, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="does not read it now"):
        state.sum().backward()


def test_unused_and_frozen_parameters_get_no_gradient() -> None:
    field = Field()
    odeint(field, X, T).square().sum().backward()
    assert field.unused.grad is None
    assert field.frozen.grad is None
    assert field.layer.weight.grad is not None


def test_the_module_is_left_alone() -> None:
    field = Field().eval()
    before = {**vars(field)}, dict(field._parameters), dict(field._buffers), dict(field.layer._parameters)
    steps = odeint(field, X.clone().requires_grad_(), T).sum()
    after = {**vars(field)}, dict(field._parameters), dict(field._buffers), dict(field.layer._parameters)
    assert [list(d) for d in before] == [list(d) for d in after]
    assert all(a[k] is b[k] for a, b in zip(before, after, strict=True) for k in a)
    assert int(field.calls) > 6
    assert len(field.steps) >= 2
    assert min(field.steps) >= 0
    steps.backward()
    assert min(field.steps) < 0


def test_a_buffer_that_changes_between_two_solves_is_remembered() -> None:
    """The backward pass of the first solve is that of the first value."""
    field = Field()
    first = odeint(field, X, T)
    field.scale = torch.tensor(-0.4, dtype=torch.float64)
    odeint(field, X, T)
    gradient = torch.autograd.grad(first.sum(), field.layer.weight)[0]
    fresh = Field()
    torch.testing.assert_close(gradient, torch.autograd.grad(odeint(fresh, X, T).sum(), fresh.layer.weight)[0])


def test_a_parameter_changed_in_place_is_an_error() -> None:
    field = Field()
    state = odeint(field, X, T)
    with torch.no_grad():
        field.layer.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.sum().backward()


def test_shared_parameters_count_once() -> None:
    field = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), nn.Tanh(), nn.Linear(2, 2, dtype=torch.float64))
    field[2].weight = field[0].weight

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = field

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return self.net(y)

    module = Shared()
    ours = torch.autograd.grad(odeint(module, X, T).sum(), list(module.parameters()))
    theirs = torch.autograd.grad(
        torchdiffeq.odeint(module, X, T, rtol=1e-9, atol=1e-10).sum(), list(module.parameters())
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


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


def test_memory_does_not_grow_with_the_steps() -> None:
    def saved_bytes(end: float, call: Callable) -> tuple[int, int]:
        total, field = 0, Field()

        def count(x: Tensor) -> Tensor:
            nonlocal total
            total += x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
            call(field, torch.tensor([0.0, end], dtype=torch.float64))
        return total, len(field.steps)

    def double_backward(field: nn.Module, t: Tensor) -> object:
        x = X.clone().requires_grad_()
        (g,) = torch.autograd.grad(odeint(field, x, t, rtol=1e-6, atol=1e-6).square().sum(), x, create_graph=True)
        return g.sum()  # what is held is held now

    short, few = saved_bytes(1.0, double_backward)
    long, many = saved_bytes(64.0, double_backward)
    assert many > 4 * few
    # What each evaluation saves comes and goes; what stays until the end is the same.
    assert _held(double_backward, 1.0) == _held(double_backward, 64.0)
    zero = lambda field, t: hvp(field, X, t, lambda y: y.square().sum(), (X, None), rtol=1e-6, atol=1e-6)  # noqa: E731
    assert _held(zero, 1.0) == _held(zero, 64.0)
    assert short < long  # the count does see the evaluations


def _held(call: Callable, end: float) -> int:
    """Peak bytes of saved tensors alive at once."""
    alive, peak = 0, 0

    class Saved:
        def __init__(self, x: Tensor):
            nonlocal alive, peak
            self.x, self.bytes = x, x.numel() * x.element_size()
            alive += self.bytes
            peak = max(peak, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= self.bytes

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.x):
        result = call(Field(), torch.tensor([0.0, end], dtype=torch.float64))
    assert result is not None
    return peak
