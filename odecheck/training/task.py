"""What a training task is: data, models of equal parameter counts, a loss, and the figures of a run.

A task is one file of this folder with a tuple `TASKS`; nothing else names it. Data comes before behaviour: a task is a
frozen dataclass of what the papers say, with three methods, `load`, `build` and `loss`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from odecheck.errors import BadInput
from odecheck.fields.layer import ADJOINT
from odecheck.solvers import Adaptive, OdeInt

from .end_time import EndTime

Batch = tuple[Tensor, ...]
# the models of the three papers, in the order of their tables
MODELS = ("NODE", "ANODE", "SONODE", "HBNODE", "GHBNODE", "AdamNODE")
RATES: Mapping[str, float] = {"sgd": 0.02, "adam": 1e-3, "snopt": 0.02}


class Data(NamedTuple):
    """Training and test rows: tensors with the same first axis, for example (images, labels)."""

    train: Batch
    test: Batch


class Outcome(NamedTuple):
    """What a batch gives.

    Attributes:
        loss: (), the mean over the rows of the batch, to be differentiated.
        right: (), the share of right answers, where there is such a thing.
    """

    loss: Tensor
    right: Tensor | None = None


@dataclass(frozen=True)
class Setting:
    """The figures of a run.

    Attributes:
        name: by which it is asked for.
        size: model → hidden size, such that all models have nearly the same number of parameters.
        batch: rows of a step.
        epochs: passes through the training rows.
        tolerance: rtol and atol of every solve.
        rate: optimizer → learning rate.
        clip: largest norm of the gradient, if any.
        evaluate_every: steps between two evaluations on the test rows; None for once an epoch.
        test_batch: rows of an evaluation's solve.
        max_steps: steps between two outputs after which a solve is given up.
        needs_data: whether files of a data directory are read; rows are embedded or generated otherwise.
        more: what only this task has.
    """

    name: str
    size: Mapping[str, int]
    batch: int
    epochs: int
    tolerance: float
    rate: Mapping[str, float] = field(default_factory=lambda: dict(RATES))
    clip: float | None = None
    evaluate_every: int | None = None
    test_batch: int = 512
    max_steps: int = 2000
    needs_data: bool = False
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def solver(self) -> Adaptive:
        """How every ODE of the task is solved."""
        return Adaptive("dopri5", rtol=self.tolerance, atol=self.tolerance, max_steps=self.max_steps)

    @property
    def odeint(self) -> OdeInt:
        """The adjoint: O(1) memory in the number of steps."""
        return ADJOINT


@dataclass(frozen=True)
class Task(ABC):
    """A task: what the papers say of it, and three methods.

    Attributes:
        name: by which it is asked for.
        summary: what is learnt, in one line.
        source: paper and section.
        settings: the first is the default, which runs offline in under two minutes on one core; "published" is that
            of the paper.
        data: how to get the files that the settings with `needs_data` read, empty if there are none.
        models: the names that `build` knows.
    """

    name: str
    summary: str
    source: str
    settings: tuple[Setting, ...]
    data: str = ""
    models: tuple[str, ...] = MODELS

    @abstractmethod
    def load(self, data_dir: Path | None, setting: Setting) -> Data:
        """The rows, the same in every call.

        Args:
            data_dir: the data directory, if there is one.
            setting: says whether files are read.

        Raises:
            BadInput: files that are missing, cut off or wrong.
        """

    @abstractmethod
    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        """The model with fresh parameters of torch's random numbers.

        Args:
            model: one of `models`.
            setting: its sizes and how it solves.
            data: the rows that it will see, where its shape depends on them.

        Returns:
            A module that `loss` takes. A part of it that solves an ODE has the attributes `field` (an nn.Module,
            called as field(t, y)), `solver` and `odeint`, as `NODELayer` and `ODERNN` have: that is how evaluations
            and steps are counted.

        Raises:
            BadInput: for another model.
        """

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch) -> Outcome:
        """The loss on some rows, in training or evaluation, as `module.training` says.

        Args:
            module: what `build` made.
            batch: some of the rows that `load` gave.

        Returns:
            The loss, with noise of torch's random numbers where there is any, and the share of right answers.
        """

    def end_time(self, model: str, module: nn.Module, setting: Setting) -> EndTime | None:
        """The time at which the solve ends, where that is trained or looked at; None for most tasks.

        Args:
            model: one of `models`.
            module: what `build` made of it.
            setting: says how it is moved.
        """
        return None

    def setting(self, name: str | None = None) -> Setting:
        """A setting by its name; the default without one.

        Raises:
            BadInput: there is no such setting.
        """
        known = {one.name: one for one in self.settings}
        if name is None:
            return self.settings[0]
        if name not in known:
            raise BadInput(
                f"task {self.name} has no setting {name!r}",
                "a misspelt name",
                f"--setting with one of: {', '.join(known)}",
            )
        return known[name]
