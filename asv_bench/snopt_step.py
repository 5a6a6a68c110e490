"""What a step of SNOpt costs beside a step of SGD: digits with a convolutional ODE layer, and a normalizing flow.

    python asv_bench/snopt_step.py [--device cpu|cuda] [--rounds 12] [--json FILE]

Both optimizers train twins of one model on the same batches, from the same start, step by step in turn; every gradient
is taken at the same parameters (the twins are set equal before each step), so that solvers take the same steps. CPU
time, or on an accelerator synchronised wall time; medians of the ratios of one round. The exit status is 1 where a step
costs more than `GOALS` allow. With all layers of the wide classifier it does: the encoder has a factor of 1025 × 1025,
whose eigenvectors are half of a refresh, and with which the gradient is multiplied twice in every step.

An ordinary step of SNOpt has the forward and backward pass of SGD's, without a hook, and then the call that changes the
gradients: that call is timed by itself, `ordinary_over_sgd` is 1 + its time / that of SGD's step. The ratio of whole
steps is `ordinary_over_sgd_whole`: on a machine that does other work it varies by more than what it is to show. A
refresh adds to both passes; its ratio is that of whole steps, of one round. The working set is the largest number of
bytes of tensors alive at one time in a step, those that were there before included for what the optimizers keep.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torchdiffeq
from torch import Tensor, nn

from odecheck.fields.cnf import CNF, ConcatSquash
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.optim import SNOpt
from odecheck.solvers import Adaptive

REFRESH = 100
# what a step may cost; beyond it the exit status is 1
GOALS = {"amortised_over_sgd": 1.06, "refresh_over_ordinary": 3.0}


class ConcatConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 1, channels, 3, padding=1)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.conv(torch.cat([y, t.expand(len(y), 1, *y.shape[2:])], 1))


class Pixels(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = ConcatConv(channels), ConcatConv(channels)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.last(t, torch.relu(self.first(t, y)))


class Digits(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.begin = nn.Sequential(
            nn.Conv2d(1, channels, 3),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.field = Pixels(channels)
        self.end = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))

    def forward(self, x: Tensor) -> Tensor:
        times = torch.tensor([0.0, 1.0], device=x.device)
        y = torchdiffeq.odeint_adjoint(self.field, self.begin(x), times, method="dopri5", rtol=1e-3, atol=1e-3)
        return self.end(y[-1])  # pyright: ignore[reportCallIssue, reportArgumentType, reportOptionalSubscript]


def digits(channels: int, device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    x, label = torch.rand(64, 1, 8, 8, device=device), torch.randint(10, (64,), device=device)
    return Digits(channels).to(device), lambda model: nn.functional.cross_entropy(model(x), label)


def moons(divergence: Any, device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    x = torch.randn(256, 2, device=device)
    model = CNF(
        ConcatSquash([2, 64, 64, 64, 2]), divergence=divergence, solver=Adaptive("dopri5", rtol=1e-3, atol=1e-3)
    )
    return model.to(device), lambda model: -model.log_prob(x).mean()  # pyright: ignore[reportCallIssue]


WORK: dict[str, Callable[[str], tuple[nn.Module, Callable[[nn.Module], Tensor]]]] = {
    "digits, 16 channels": lambda device: digits(16, device),
    "digits, 64 channels": lambda device: digits(64, device),
    "digits, 64 channels, all layers": lambda device: digits(64, device),
    "flow, exact divergence": lambda device: moons("exact", device),
    "flow, Hutchinson": lambda device: moons("rademacher", device),
}


class Training:
    """One model with its optimizer: kind "sgd" or "snopt"."""

    def __init__(self, name: str, kind: str, device: str) -> None:
        torch.manual_seed(0)
        self.model, self.loss = WORK[name](device)
        self.precondition = (
            SNOpt(self.model, layers="all" if "all layers" in name else "ode") if kind == "snopt" else None
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.clock, self.added = (lambda: clock(device)), 0.0

    def step(self) -> None:
        torch.manual_seed(1)  # the noise of Hutchinson's estimate
        self.optimizer.zero_grad()
        self.loss(self.model).backward()
        if self.precondition is not None:
            begun = self.clock()
            self.precondition.step()
            self.added = self.clock() - begun
        self.optimizer.step()

    def next_is_refresh(self, due: bool) -> None:
        if self.precondition is not None:
            group = self.precondition.param_groups[0]
            group["steps"] = 0 if due else 1
            self.precondition._prepare()

    def parameters(self) -> list[Tensor]:
        return [p.detach() for p in self.model.parameters()]

    def peak(self) -> int:
        """Bytes of the next step at its largest, with parameters and what the optimizers kept from the step before.

        A refresh lets go of the old eigenbases before it makes the first matrix; before that it is an ordinary step.
        """
        refresh = self.precondition is not None and self.precondition._gather.active
        kept = self.kept(bases=not refresh)
        with LiveBytes() as memory:
            self.step()
        return memory.peak + kept

    def kept(self, bases: bool) -> int:
        held = {p.data_ptr(): p.nbytes for p in self.model.parameters()}
        for optimizer in (self.optimizer, *([self.precondition] if self.precondition and bases else [])):
            for state in optimizer.state.values():
                held |= {x.data_ptr(): x.nbytes for x in state.values() if isinstance(x, Tensor)}
        return sum(held.values())


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(name: str, device: str, rounds: int) -> dict[str, Any]:
    sgd, snopt = Training(name, "sgd", device), Training(name, "snopt", device)
    seconds: dict[str, list[float]] = {"sgd": [], "ordinary": [], "refresh": [], "added": []}
    for i in range(rounds + 2):
        for what, run, due in (("sgd", sgd, False), ("refresh", snopt, True), ("ordinary", snopt, False)):
            with torch.no_grad():
                for p, q in zip(run.parameters(), sgd.parameters(), strict=True):
                    p.copy_(q)
            run.next_is_refresh(due)
            begun = clock(device)
            run.step()
            if i >= 2:
                seconds[what].append(clock(device) - begun)
                if what == "ordinary":
                    seconds["added"].append(run.added)
    # paired: the same round
    ordinary = 1 + statistics.median(b / a for a, b in zip(seconds["sgd"], seconds["added"], strict=True))
    whole = statistics.median(b / a for a, b in zip(seconds["sgd"], seconds["ordinary"], strict=True))
    refresh = statistics.median(b / a for a, b in zip(seconds["ordinary"], seconds["refresh"], strict=True))
    peaks = {}
    for what, run, due in (("sgd", sgd, False), ("refresh", snopt, True), ("ordinary", snopt, False)):
        run.next_is_refresh(due)
        peaks[what] = run.peak()
    peaks["refresh"] = max(peaks["refresh"], peaks["ordinary"])
    return {
        "task": name,
        "device": device,
        "rounds": rounds,
        "sgd_seconds": statistics.median(seconds["sgd"]),
        "ordinary_over_sgd": ordinary,
        "ordinary_over_sgd_whole": whole,
        "refresh_over_ordinary": refresh,
        "amortised_over_sgd": ordinary * ((REFRESH - 1) + refresh) / REFRESH,
        "sgd_peak_bytes": peaks["sgd"],
        "ordinary_peak_over_sgd": peaks["ordinary"] / peaks["sgd"],
        "refresh_peak_over_sgd": peaks["refresh"] / peaks["sgd"],
    }


def missing(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The goals that are missed, in words."""
    return [
        f"{row['task']}: {what} is {row[what]:.3f}, and may be {most:g}"
        for row in found
        for what, most in GOALS.items()
        if not row[what] <= most
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--only", help="the tasks whose name contains this")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.exit(0, "There is no GPU here, or torch was built without CUDA: nothing is measured.\n")
    torch.set_num_threads(1)
    found = []
    for name in WORK:
        if arguments.only and arguments.only not in name:
            continue
        found.append(measure(name, arguments.device, arguments.rounds))
        print(name, {k: round(v, 4) for k, v in found[-1].items() if isinstance(v, float)}, flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            note = f"{arguments.rounds} rounds, {arguments.device}, torch {torch.__version__}, 1 thread"
            command = f"python asv_bench/snopt_step.py --rounds {arguments.rounds}"
            json.dump({"command": command, "note": note, "rows": found}, file, indent=1)
    missed = missing(found)
    print("\n".join(missed) or "every goal is met: " + ", ".join(f"{k} ≤ {v:g}" for k, v in GOALS.items()))
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
