"""Statements of the papers that trainings judge: who is said to have less of what than whom; data, and its measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EQUAL_TIME = "loss at equal CPU time"
HELD_OUT = "held-out loss at equal CPU time"
WHOLE_CURVE = "loss, mean over the CPU time"


@dataclass(frozen=True)
class BenchmarkClaim:
    """A statement about trainings: each subject has less of each quantity than each rival.

    Attributes:
        id: of the claim.
        statement: its sentence.
        source: where it stands.
        kind: the column, model or optimizer, of which subjects and rivals are values.
        subjects: what is said to have less.
        rivals: than what.
        quantities: name → the number of one training, from its rows; less is better.
        tuned: each at its best learning rate, and at equal CPU time.
        margins: quantity → the ratio, 1 or more, up to which it counts as no more, by default 1; 1.02 where the claim
            is that it is not higher by more than two per cent.
        alike: quantity → the ratio, above 1, within which two are practically the same: the margin of equivalence of a
            design. Without one there is no verdict "no difference".
        places: task → figures of its setting, by their names, that the paper or its published code has, "optimizer" and
            "rate" among them; none of a task that stands for the paper's by the design of this project. A verdict on
            the paper's sentence comes from trainings at these figures alone.
        evaluated: quantity → the column of evaluations that it is measured in, which runs of former versions have not.
    """

    id: str
    statement: str
    source: str
    kind: str
    subjects: tuple[str, ...]
    rivals: tuple[str, ...]
    quantities: Mapping[str, Callable[[Any], float]]
    tuned: bool = False
    margins: Mapping[str, float] = field(default_factory=dict[str, float])
    alike: Mapping[str, float] = field(default_factory=dict[str, float])
    places: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    evaluated: Mapping[str, str] = field(default_factory=dict[str, str])

    def at_its_place(self, rows: Any, facts: Mapping[str, Any] | None) -> bool:
        """Whether trainings are at figures of the paper.

        Args:
            rows: a DataFrame of training, of one task.
            facts: what run.json says; without it nobody knows the figures.
        """
        task = str(rows["task"].iloc[0])
        if facts is None or task not in self.places:
            return False
        trained = {"optimizer": set(rows["optimizer"]), "rate": set(rows["learning_rate"])}
        setting: Mapping[str, Any] = facts["cases"]["setting"]
        return all(
            trained[name] == {figure} if name in trained else setting.get(name) == figure
            for name, figure in self.places[task].items()
        )


def of_steps(column: str) -> Callable[[Any], float]:
    """The mean of a column over the training steps."""

    def value(rows: Any) -> float:
        return float(rows.loc[rows["split"] == "train", column].mean())

    return value


def final_loss(rows: Any) -> float:
    """The mean training loss of the last tenth of the steps, five at least; NaN for a training that was stopped."""
    steps = rows[rows["split"] == "train"].sort_values("step")
    if (steps["message"] != "").any():
        return math.nan
    return float(steps["loss"].tail(max(5, len(steps) // 10)).mean())


def overshoot(rows: Any) -> float:
    """The largest overshoot of the position that an evaluation has seen, over the whole training.

    ‖h‖ over the rows of the evaluation, largest along the solve, in units of that at its start: what the papers call
    stability is that it does not grow. NaN for a training that was stopped, as by a solve that failed.
    """
    if (rows["message"] != "").any():
        return math.nan
    return float(rows.loc[rows["split"] == "test", "overshoot"].max()) if "overshoot" in rows else math.nan


def seconds(rows: Any) -> float:
    """CPU seconds of a whole training; NaN for one that was stopped."""
    steps = rows[rows["split"] == "train"]
    return math.nan if (steps["message"] != "").any() else float(steps["cpu_seconds"].max())


def one_in(rows: Any) -> float:
    """1/accuracy of the last evaluation: of how many answers one is right. NaN for a training that was stopped."""
    if (rows["message"] != "").any():
        return math.nan
    tests = rows[rows["split"] == "test"].sort_values("step")
    right = float(tests["accuracy"].iloc[-1]) if len(tests) else math.nan
    return 1 / right if right > 0 else math.nan


def held_out_loss(rows: Any) -> float:
    """The loss of the last evaluation on test rows; NaN for a training that was stopped, and without an evaluation."""
    tests = rows[rows["split"] == "test"].sort_values("step")
    if (rows["message"] != "").any() or not len(tests):
        return math.nan
    return float(tests["loss"].iloc[-1])


def area_under_curve(rows: Any) -> float:
    """The mean of the training loss over the CPU time, in its logarithm: one number for the whole curve.

    From the first step on, by the trapezoidal rule. NaN for a training that was stopped.
    """
    steps = rows[rows["split"] == "train"].sort_values("step")
    time, loss = steps["cpu_seconds"].to_numpy(float), np.log(np.maximum(steps["loss"].to_numpy(float), 1e-12))
    if (steps["message"] != "").any() or len(steps) < 2:
        return math.nan
    return math.exp(float(np.trapezoid(loss, time)) / float(time[-1] - time[0]))


HB9 = BenchmarkClaim(
    "HB-9",
    "Fewer function evaluations, forward and backward, than NODE, ANODE and SONODE at equal tolerance and parameter "
    "count.",
    "arXiv:2110.04840: experiments",
    "model",
    ("HBNODE", "GHBNODE"),
    ("NODE", "ANODE", "SONODE"),
    {"forward NFE": of_steps("nfe_forward"), "backward NFE": of_steps("nfe_backward")},
    alike={"forward NFE": 1.1, "backward NFE": 1.1},
    # the notebooks of point clouds in the published code; they write 1e-7, and their figures fit 1e-3
    places={
        "spheres": {"epochs": 300, "batch": 50, "tolerance": 1e-3, "clip": None, "optimizer": "adam", "rate": 0.01}
    },
)
ADAM7 = BenchmarkClaim(
    "ADAM-7",
    "Lower training loss and more stable training than NODE, ANODE, SONODE, HBNODE and GHBNODE.",
    "arXiv:2207.06066: experiments",
    "model",
    ("AdamNODE",),
    ("NODE", "ANODE", "SONODE", "HBNODE", "GHBNODE"),
    {"training loss": final_loss, "overshoot": overshoot},
    # losses of these trainings go over decades
    alike={"training loss": 2.0, "overshoot": 1.1},
    # the published code has silverbox, MNIST and CIFAR-10, and no nested spheres
    evaluated={"overshoot": "overshoot"},
)
SNOPT13 = BenchmarkClaim(
    "SNOPT-13",
    "Converges faster than SGD and Adam: at equal CPU time a lower loss, a lower held-out loss and a lower curve up to "
    "there, each optimizer with the best of equally many draws of its knobs, or of a grid of learning rates.",
    "arXiv:2109.14158: experiments",
    "optimizer",
    ("snopt",),
    ("sgd", "adam"),
    {EQUAL_TIME: final_loss, HELD_OUT: held_out_loss, WHOLE_CURVE: area_under_curve},
    tuned=True,
    alike={EQUAL_TIME: 1.1, HELD_OUT: 1.1, WHOLE_CURVE: 1.1},
    # small images, a density and a series in the place of the paper's larger ones
    places={"digits-conv": {}, "mnist-5k-conv": {}, "moons": {}, "circle": {}, "vowels": {}},
)
SNOPT14 = BenchmarkClaim(
    "SNOPT-14",
    "An end time that is trained by second-order feedback takes less CPU time than a fixed one and than one trained by "
    "first-order descent, at a test accuracy that is lower by two per cent at most.",
    "arXiv:2109.14158: joint optimisation of the integration time",
    "model",
    ("ConvNODE-feedback",),
    ("ConvNODE", "ConvNODE-descent"),
    {"CPU time": seconds, "1 / test accuracy": one_in},
    margins={"1 / test accuracy": 1.02},
    places={"digits-end-time": {}, "mnist-end-time": {}},
)
CLAIMS = (SNOPT13, SNOPT14, HB9, ADAM7)
