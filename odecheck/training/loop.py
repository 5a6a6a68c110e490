"""Training: one step after another, each a row, from a state that can be saved and gone on from bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.foreign import one_line
from odecheck.instruments.live_bytes import LiveBytes
from odecheck.ode import SolveError

from .failures import FAILURES, given_up
from .meter import Meter
from .optimizers import Stepper
from .overshoot import overshoot
from .rows import NAN, Row, Unit
from .search import told
from .task import Batch, Data
from .trial import Trial, steps_of

__all__ = ["EVERY", "Training", "Trial", "steps_of", "train"]

# seconds of training between two checkpoints: what a killed process has to do again
EVERY = 20.0
# steps, at least, between two looks at the memory, which are slow
LOOK = 50


class Training:
    """A trial under way. `rows()` goes on from where it is until the last step of the setting.

    The order of the training rows is a function of seed and epoch alone; all other random numbers are torch's, whose
    state is saved: a training that was interrupted gives the numbers of one that was not, bit for bit.

    Args:
        trial: what is trained.
        data: the task's rows at the trial's setting.
        device: torch's name of the device that computes.
        cap: CPU seconds after which it is stopped, with a message; it may be over them by one step.
    """

    def __init__(self, trial: Trial, data: Data, device: str = "cpu", cap: float = math.inf) -> None:
        self.trial, self.device, self.cap = trial, torch.device(device), cap
        self.data = Data(*(tuple(part.to(self.device) for part in split) for split in data))
        torch.manual_seed(trial.seed)  # pyright: ignore[reportUnknownMemberType]
        self.module: nn.Module = trial.task.build(trial.model, trial.setting, data).to(self.device)
        # a twin without hooks, for what is looked at on the side
        self.twin: nn.Module = trial.task.build(trial.model, trial.setting, data).to(self.device)
        torch.manual_seed(trial.seed)  # pyright: ignore[reportUnknownMemberType]
        self.parameters = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        # first the meter: what is hooked on later sees the same evaluations
        self.meter = Meter(self.module)
        self.end = trial.task.end_time(trial.model, self.module, trial.setting)
        self.stepper = Stepper(trial.optimizer, self.module, trial.learning_rate, self.end, dict(trial.knobs))
        self.step, self.cpu, self.wall = 0, 0.0, 0.0
        self.steps = steps_of(trial.setting, data)
        self.steps_per_epoch = math.ceil(len(data.train[0]) / trial.setting.batch)  # also of no epoch at all

    @property
    def evaluate_every(self) -> int:
        """Steps between two evaluations: the setting's, or an epoch."""
        return self.trial.setting.evaluate_every or self.steps_per_epoch

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation follows the present step."""
        return self.step % self.evaluate_every == 0 or self.step == self.steps

    def rows(self) -> Iterator[Row]:
        """The rows of the steps that are left; after one that diverged, no more."""
        while self.step < self.steps:
            self.step += 1
            epoch = (self.step - 1) // self.steps_per_epoch + 1
            look = self.step == 1 or self.step % max(self.evaluate_every, LOOK) == 0
            batch = self._batch(epoch)
            peak = self._peak(batch) if look else NAN
            row = self._train(batch, epoch, peak)
            yield row
            if row.message:
                return
            if self.evaluation_due:
                yield self._test(epoch)

    def _batch(self, epoch: int) -> Batch:
        count, size = len(self.data.train[0]), self.trial.setting.batch
        if size >= count:
            return self.data.train
        order = torch.randperm(count, generator=torch.Generator().manual_seed(1_000_003 * self.trial.seed + epoch))
        begin = (self.step - 1) % self.steps_per_epoch * size
        chosen = order[begin : begin + size].to(self.device)
        return tuple(part[chosen] for part in self.data.train)

    def _train(self, batch: Batch, epoch: int, peak: float) -> Row:
        self.module.train()
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
            torch.cuda.synchronize(self.device)
        cpu, wall = time.process_time(), time.perf_counter()
        loss, accuracy, message = NAN, NAN, ""
        try:
            self.stepper.zero()
            with self.meter.phase("forward"):
                outcome = self.trial.task.loss(self.module, batch)
            loss = float(outcome.loss.detach())
            accuracy = NAN if outcome.right is None else float(outcome.right)
            if math.isfinite(loss):
                with self.meter.phase("backward"):
                    outcome.loss.backward()  # pyright: ignore[reportUnknownMemberType]
                message = self._apply()
            else:
                message = f"the loss is {loss}"
        except FAILURES as error:
            message = given_up(error)
        if cuda:
            torch.cuda.synchronize(self.device)
            peak = float(torch.cuda.max_memory_allocated(self.device))
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        if not message and self.cpu > self.cap:
            message = f"it was stopped at its cap of {self.cap:g} CPU s"
        return self._row("train", epoch, loss, accuracy, peak, message, self.meter.taken())

    def _apply(self) -> str:
        """The optimizer's step, unless the gradient is not finite: in words why not."""
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not bool(torch.isfinite(norm)):
            return f"the norm of the gradient is {float(norm)}"
        self.stepper.measure()
        clip = self.trial.setting.clip
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self._trained(), clip)
        self.stepper.step()
        return ""

    def _trained(self) -> list[Tensor]:
        return [p for p in self.module.parameters() if p.grad is not None]

    @torch.no_grad()
    def _test(self, epoch: int) -> Row:
        self.module.eval()
        kept, far = self._random(), NAN
        losses, rights, sizes, message = list[float](), list[float](), list[int](), ""
        try:
            for begin in range(0, len(self.data.test[0]), batch := self.trial.setting.test_batch):
                part = tuple(x[begin : begin + batch] for x in self.data.test)
                with self.meter.phase("forward"):
                    outcome = self.trial.task.loss(self.module, part)
                sizes.append(len(part[0]))
                losses.append(float(outcome.loss))
                rights.append(NAN if outcome.right is None else float(outcome.right))
            self.twin.load_state_dict(self.module.state_dict())
            far = overshoot(self.trial.task, self.twin.eval(), self.data.test)
        except (AssertionError, SolveError, ArithmeticError) as error:
            message = given_up(error)
        counts = self.meter.taken()
        self._set_random(kept)
        if message:
            return self._row("test", epoch, NAN, NAN, NAN, message, {})
        mean = {name: value / len(sizes) for name, value in counts.items() if name.endswith("forward")}
        return self._row("test", epoch, _mean(losses, sizes), _mean(rights, sizes), NAN, "", {**mean, "overshoot": far})

    def _peak(self, batch: Batch) -> float:
        """Bytes of live tensors of one forward and backward pass, of a twin of the model: nothing of it stays."""
        if self.device.type != "cpu":
            return NAN
        kept = self._random()
        self.twin.load_state_dict(self.module.state_dict())
        self.twin.train()
        try:
            with LiveBytes() as live:
                self.trial.task.loss(self.twin, batch).loss.backward()  # pyright: ignore[reportUnknownMemberType]
        except (AssertionError, SolveError, ArithmeticError):
            return NAN  # the step itself says so in its row
        finally:
            self.twin.zero_grad(set_to_none=True)
            self._set_random(kept)
        return float(live.peak)

    def _row(
        self, split: str, epoch: int, loss: float, accuracy: float, peak: float, message: str, counts: dict[str, Any]
    ) -> Row:
        t = self.trial
        return Row(
            t.task.name,
            t.model,
            t.optimizer,
            t.learning_rate,
            t.seed,
            self.parameters,
            self.step,
            epoch,
            split,
            loss,
            accuracy,
            **{k: float(v) for k, v in counts.items()},
            cpu_seconds=self.cpu,
            wall_seconds=self.wall,
            peak_bytes=peak,
            end_time=NAN if self.end is None else self.end.value,
            knobs=told(t.knobs),
            message=message,
        )

    def _random(self) -> list[Tensor]:
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def _set_random(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.device)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, for `load`, as torch saves it."""
        return {
            "name": self.trial.name,
            "step": self.step,
            "module": self.module.state_dict(),
            "stepper": self.stepper.state(),
            "random": self._random(),
            "cpu": self.cpu,
            "wall": self.wall,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same trial."""
        self.step, self.cpu, self.wall = state["step"], state["cpu"], state["wall"]
        self.module.load_state_dict(state["module"])
        self.stepper.load(state["stepper"])
        self._set_random(state["random"])


def _mean(values: list[float], weights: list[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def train(
    trial: Trial,
    data: Data,
    folder: Path | None = None,
    device: str = "cpu",
    every: float = EVERY,
    cap: float = math.inf,
) -> Iterator[Row]:
    """Train, each row as it comes. A trial that has ended gives the rows that it has.

    Args:
        trial: what is trained.
        data: the task's rows at the trial's setting.
        folder: where rows and checkpoints are written, and gone on from where there are any.
        device: torch's name of the device that computes.
        every: seconds of training between two checkpoints.
        cap: CPU seconds after which it is stopped.

    Yields:
        A row for each step and each evaluation; after one with a message, no more.

    Raises:
        BadInput: a checkpoint that cannot be read; an unknown optimizer or a rate that is not positive.
    """
    if folder is None:
        yield from Training(trial, data, device, cap).rows()
        return
    unit = Unit(folder)
    if unit.ended:
        yield from unit.rows
        return
    training = Training(trial, data, device, cap)
    saved = unit.checkpoint(trial.name)
    if saved is not None:
        try:
            training.load(saved)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise BadInput(
                f"the checkpoint in {folder} is of another model: {one_line(error)}",
                "a folder that was copied, or another version of odecheck",
                f"rm -r {folder} to train this one from its beginning",
            ) from error
    yield from list(unit.rows)
    last = training.wall
    try:
        for row in training.rows():
            unit.add(row)
            yield row
            # a state is whole when its step and the evaluation after it are
            if training.wall - last >= every and (row.split == "test" or not training.evaluation_due):
                unit.save(training.state())
                last = training.wall
        unit.save(training.state())
        unit.finish()
    finally:
        unit.close()
