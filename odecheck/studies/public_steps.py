"""Training steps of public projects: each built from a checkout of the project, on synthetic data of its kind.

None of their code is here. A declaration says which repository, and in our own words how its model is built and what
one step of its training is; the checkouts are the user's. Sizes are those of the projects, batches are small.
"""

# pyright: standard
# (the projects have no types)
from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

Step = Callable[[], Any]


@dataclass(frozen=True)
class PublicStep:
    """One training step.

    Attributes:
        repository: owner/name, as its host spells it; the checkout is a folder of that name.
        model: which of its models, in a few words.
        make: from the folder of the checkout, the step.
        mistakes: kinds of findings that are true of the published code.
    """

    repository: str
    model: str
    make: Callable[[Path], Step]
    mistakes: frozenset[str] = frozenset()


STEPS: list[PublicStep] = []


def step(repository: str, model: str, *mistakes: str) -> Callable[[Callable[[Path], Step]], Callable[[Path], Step]]:
    """Keep a function that makes a step under the names of its project and model."""

    def keep(make: Callable[[Path], Step]) -> Callable[[Path], Step]:
        STEPS.append(PublicStep(repository, model, make, frozenset(mistakes)))
        return make

    return keep


def both(repository: str, model: str) -> Callable[[Callable[[Path, bool], Step]], None]:
    """Keep a function of a folder and of whether the adjoint is used, as two steps."""

    def keep(make: Callable[[Path, bool], Step]) -> None:
        step(repository, model)(lambda folder: make(folder, False))
        step(repository, f"{model}, adjoint")(lambda folder: make(folder, True))

    return keep


# what these projects import for data, pictures and logs alone: an empty module does where it is missing or broken
UNUSED = ("imageio", "tensorflow", "torchvision", "torchvision.datasets", "torchvision.transforms")


def _module(folder: Path, name: str) -> Any:
    """A module of a checkout, as a script of its folder imports it, without arguments."""
    for unused in UNUSED:
        try:
            importlib.import_module(unused)
        except Exception:  # a build for another torch raises RuntimeError
            parent, _, last = unused.rpartition(".")
            sys.modules[unused] = ModuleType(unused)
            if parent:
                setattr(sys.modules[parent], last, sys.modules[unused])
    sys.path.insert(0, str(folder))
    sys.argv = [name]
    os.environ.setdefault("MPLBACKEND", "Agg")
    return importlib.import_module(name)


def _classified(model: nn.Module, x: torch.Tensor, classes: int) -> Step:
    labels = torch.arange(len(x)) % classes
    return lambda: nn.functional.cross_entropy(model(x), labels).backward()


def _odeint(adjoint: bool) -> Any:
    import torchdiffeq  # pyright: ignore[reportMissingTypeStubs]

    return vars(torchdiffeq)["odeint_adjoint" if adjoint else "odeint"]


@step("rtqichen/torchdiffeq", "ode_demo")
def _ode_demo(folder: Path) -> Step:
    demo = _module(folder / "examples", "ode_demo")
    field, (y0, t, y) = demo.ODEFunc(), demo.get_batch()
    return lambda: (_odeint(False)(field, y0, t) - y).abs().mean().backward()


@both("rtqichen/torchdiffeq", "latent_ode")
def _latent_spirals(folder: Path, adjoint: bool) -> Step:
    example = _module(folder / "examples", "latent_ode")
    _, seen, _, times = example.generate_spiral2d(nspiral=20, ntotal=300, nsample=20, stop=6 * 3.14159, noise_std=0.3)
    seen, times = torch.from_numpy(seen).float(), torch.from_numpy(times).float()
    field, encoder, decoder = example.LatentODEfunc(4, 20), example.RecognitionRNN(4, 2, 25, 20), example.Decoder(4, 2)

    def run() -> None:
        h = encoder.initHidden()
        out = torch.empty(0)
        for i in reversed(range(seen.shape[1])):
            out, h = encoder(seen[:, i], h)
        mean, logvar = out[:, :4], out[:, 4:]
        z0 = torch.randn(mean.shape) * torch.exp(0.5 * logvar) + mean
        x = decoder(_odeint(adjoint)(field, z0, times).permute(1, 0, 2))
        noise = torch.full_like(x, 2 * float(torch.tensor(0.3).log()))
        zeros = torch.zeros_like(z0)
        logp = example.log_normal_pdf(seen, x, noise).sum((-1, -2))
        (example.normal_kl(mean, logvar, zeros, zeros).sum(-1) - logp).mean().backward()

    return run


@both("rtqichen/torchdiffeq", "odenet_mnist")
def _odenet(folder: Path, adjoint: bool) -> Step:
    example = _module(folder / "examples", "odenet_mnist")
    example.odeint = _odeint(adjoint)
    model = nn.Sequential(
        *(nn.Conv2d(1, 64, 3, 1), example.norm(64), nn.ReLU(inplace=True), nn.Conv2d(64, 64, 4, 2, 1)),
        *(example.norm(64), nn.ReLU(inplace=True), nn.Conv2d(64, 64, 4, 2, 1)),
        example.ODEBlock(example.ODEfunc(64)),
        *(example.norm(64), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)), example.Flatten(), nn.Linear(64, 10)),
    )
    return _classified(model, torch.rand(4, 1, 28, 28), 10)


@step("rtqichen/torchdiffeq", "cnf, adjoint")
def _cnf(folder: Path) -> Step:
    model = _module(folder / "examples", "cnf").CNF(2, 32, 64)
    x, prior = torch.randn(32, 2), torch.distributions.MultivariateNormal(torch.zeros(2), 0.1 * torch.eye(2))

    def run() -> None:
        times = torch.tensor([10.0, 0.0])
        z, logp = _odeint(True)(model, (x, torch.zeros(32, 1)), times, atol=1e-5, rtol=1e-5, method="dopri5")
        (logp[-1].view(-1) - prior.log_prob(z[-1])).mean().backward()

    return run


@both("rtqichen/torchdiffeq", "bouncing_ball")
def _bouncing(folder: Path, adjoint: bool) -> Step:
    ball = _module(folder / "examples", "bouncing_ball").BouncingBallExample(adjoint=adjoint)
    return lambda: torch.stack(ball.get_collision_times(3)).sum().backward()


@step("rtqichen/torchdiffeq", "learn_physics, events")
def _physics(folder: Path) -> Step:
    system = _module(folder / "examples", "learn_physics").NeuralPhysics()
    nn.init.constant_(system.dynamics_fn.dvel.bias, -1.0)  # so that the ball falls
    times = torch.linspace(0, 3.0, 40)[1:]
    return lambda: (system.simulate(times)[0] - 5.0).square().mean().backward()


@step("rtqichen/torchdiffeq", "learn_physics, no events")
def _physics_plain(folder: Path) -> Step:
    system = _module(folder / "examples", "learn_physics").NeuralODE()
    times = torch.linspace(0, 2.0, 40)[1:]
    return lambda: (system.simulate(times)[0] - 5.0).square().mean().backward()


def _ffjord(folder: Path, divergence: str, layer: str) -> Step:
    layers = _module(folder, "lib.layers")
    net = layers.ODEnet((64, 64, 64), (2,), None, False, layer_type=layer, nonlinearity="tanh")
    model = layers.CNF(layers.ODEfunc(net, divergence_fn=divergence), T=0.5, train_T=True)
    x = torch.randn(32, 2)

    def run() -> None:
        z, change = model(x, torch.zeros(32, 1))
        (0.5 * z.square().sum(1, keepdim=True) + change).mean().backward()

    return run


@step("rtqichen/ffjord", "toy, trace in full")
def _ffjord_full(folder: Path) -> Step:
    return _ffjord(folder, "brute_force", "concatsquash")


@step("rtqichen/ffjord", "toy, trace by Hutchinson")
def _ffjord_estimate(folder: Path) -> Step:
    return _ffjord(folder, "approximate", "concatsquash")


@step("YuliaRubanova/latent_ode", "latent ODE with an ODE-RNN")
def _latent_ode_rnn(folder: Path) -> Step:
    created = _module(folder, "lib.create_latent_ode_model")
    sizes = {"latents": 10, "units": 100, "gen_layers": 1, "rec_dims": 20, "rec_layers": 1, "gru_units": 100}
    how = Namespace(**sizes, poisson=False, z0_encoder="odernn", classif=False, linear_classif=False, dataset="")
    prior = torch.distributions.Normal(torch.tensor([0.0]), torch.tensor([1.0]))
    model = created.create_LatentODE_model(how, 1, prior, torch.tensor([0.01]), torch.device("cpu"))
    times = torch.linspace(0, 1, 12)
    data = torch.sin(6 * times)[None, :, None] + 0.1 * torch.randn(4, 12, 1)

    def run() -> None:
        x, _ = model.get_reconstruction(times, data, times, mask=torch.ones_like(data), n_traj_samples=1)
        (x - data).square().mean().backward()

    return run


class _Rate(nn.Module):
    """A network as a field that does not depend on time."""

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(states, width), nn.Tanh(), nn.Linear(width, states))

    def forward(self, t: Any, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class _Cell(nn.Module):
    """A new state of two channels from the old one and an observation."""

    def __init__(self, states: int, seen: int) -> None:
        super().__init__()
        self.net = nn.Linear(2 * states + seen, 2 * states)

    def forward(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([h.flatten(1), x], 1)).reshape(h.shape)


def _momentum(folder: Path, kind: str, channels: int) -> Step:
    base = _module(folder, "base")
    layer = base.NODElayer(getattr(base, kind)(_Rate(4, 32)), tol=1e-5)
    head, x = nn.Linear(4, 2), torch.randn(8, 1, 4)
    start = torch.cat([x, *[torch.full_like(x, 0.1)] * (channels - 1)], 1)
    return _classified(nn.Sequential(layer, nn.Flatten(), nn.Linear(4 * channels, 4), head), start, 2)


# a correction that is switched off there stays a registered parameter, and the field reads a copy of it
FROZEN = "parameter not reached"


@step("hedixia/HeavyBallNODE", "heavy-ball block", FROZEN)
def _heavy_ball(folder: Path) -> Step:
    return _momentum(folder, "HeavyBallNODE", 2)


@step("hedixia/HeavyBallNODE", "heavy-ball ODE-RNN", "changed before backward", FROZEN)
def _heavy_ball_rnn(folder: Path) -> Step:
    base = _module(folder, "base")
    model = base.ODE_RNN_with_Grad_Listener(base.HeavyBallNODE(_Rate(4, 16)), _Cell(4, 3), (2, 4), None, tol=1e-5)
    t, x = 0.2 + torch.rand(5, 6), torch.randn(5, 6, 3)
    return lambda: model(t, x)[0].square().mean().backward()


@step("Seunghyeon-Cho/AdamNODE", "Adam block", FROZEN)
def _adam(folder: Path) -> Step:
    return _momentum(folder, "AdamNODEs", 3)


@step("edebrouwer/gru_ode_bayes", "GRU-ODE cell")
def _gru_ode(folder: Path) -> Step:
    cell = _module(folder, "gru_ode_bayes.models").FullGRUODECell_Autonomous(16)
    encode, decode, x = nn.Linear(3, 16), nn.Linear(16, 3), torch.randn(8, 3)

    def run() -> None:
        h = torch.tanh(encode(x))
        for length in (0.3, 0.7, 0.2):
            h = _odeint(False)(cell, h, torch.tensor([0.0, length]))[-1]
        (decode(h) - x).square().mean().backward()

    return run


def _control(folder: Path, interpolation: str) -> Step:
    sys.path.insert(0, str(folder))
    example = _module(folder / "example", "time_series_classification")
    library = importlib.import_module("torchcde")
    model = example.NeuralCDE(input_channels=3, hidden_channels=8, output_channels=1, interpolation=interpolation)
    times = torch.linspace(0, 1, 20)
    x = torch.stack([times.expand(8, 20), torch.sin(6 * times).expand(8, 20), torch.randn(8, 20).cumsum(1) / 5], 2)
    made = library.hermite_cubic_coefficients_with_backward_differences
    coefficients = (made if interpolation == "cubic" else library.linear_interpolation_coeffs)(x)
    labels = (torch.arange(8) % 2).float()
    loss = nn.functional.binary_cross_entropy_with_logits
    return lambda: loss(model(coefficients).squeeze(-1), labels).backward()


@step("patrick-kidger/torchcde", "classifier, cubic control")
def _cubic_control(folder: Path) -> Step:
    return _control(folder, "cubic")


@step("EmilienDupont/augmented-neural-odes", "ODENet, 5 augmented")
def _augmented(folder: Path) -> Step:
    model = _module(folder, "anode.models").ODENet(torch.device("cpu"), 2, 32, 1, augment_dim=5)
    x = torch.randn(16, 2)
    return lambda: (model(x) - 1.0).square().mean().backward()


@step("DiffEqML/torchdyn", "NeuralODE, adjoint")
def _torchdyn(folder: Path) -> Step:
    sys.path.insert(0, str(folder))
    problems = importlib.import_module("odecheck.engines.torchdyn")._library("core.problems")
    net = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 2))
    how = {"solver": "dopri5", "atol": 1e-4, "rtol": 1e-4, "atol_adjoint": 1e-4, "rtol_adjoint": 1e-4}
    block = problems.ODEProblem(vector_field=net, sensitivity="adjoint", **how)
    x, labels, head = torch.randn(16, 2), torch.arange(16) % 2, nn.Linear(2, 2)
    times = torch.linspace(0, 1, 2)
    return lambda: nn.functional.cross_entropy(head(block(x, times)[1][-1]), labels).backward()


@step("martenlienen/torchode", "dopri5, a batch")
def _torchode(folder: Path) -> Step:
    sys.path.insert(0, str(folder))
    library = importlib.import_module("torchode")
    term = library.ODETerm(_Rate(3, 32))
    solver = library.AutoDiffAdjoint(
        library.Dopri5(term=term), library.IntegralController(atol=1e-5, rtol=1e-5, term=term)
    )
    times = torch.linspace(0, 1, 5).repeat(8, 1)
    problem = library.InitialValueProblem(y0=torch.randn(8, 3), t_eval=times)
    return lambda: solver.solve(problem).ys.square().mean().backward()
