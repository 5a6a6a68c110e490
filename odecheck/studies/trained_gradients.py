"""Vanishing gradients of trained models: what of dL/dh arrives at earlier observations, before training and after it.

The study `spectrum` asks fields as they are drawn. Here recurrent models with NODE, SONODE, HBNODE, GHBNODE and
AdamNODE between observations are trained on spoken vowels (`odecheck train vowels`, real series of up to 29
observations), from equal seeds with Adam. Of each the norm of dL/dh just after an observation is asked, for each of the
test series of at least as many observations, relative to that after its last one, where h is read out. h is the part
that observations change; momentum and the like keep what they had. L is the cross entropy of that series alone.

Trainings are short: four passes, twenty steps. The test accuracy beside each row says how far a model has got; that of
the heavy ball and of the second-order model without damping is still low then.

The median over the series and the geometric mean over the seeds are shown, and the rate: the slope of the logarithm of
the norm per observation, fitted over all of them, with its interval over the seeds (Student's t, 95 %). A negative one
is a gradient that vanishes on its way back; 0 is one that arrives whole.

    python -m odecheck.studies.trained_gradients reports
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from odecheck import tasks
from odecheck.ledger.training_claims import interval
from odecheck.records.table import write_table
from odecheck.report.text import COLOURS
from odecheck.studies.kept_trainings import geometric
from odecheck.tasks.time_series import MODELS, Classifier
from odecheck.training.loop import Training, Trial
from odecheck.training.task import Batch

BACK, SEEDS, EPOCHS = 14, 3, 4
MARKS = (2, 7, 14)
STATES = ("before training", "trained")


@dataclass(frozen=True, eq=False)
class Arriving:
    """Of one model and seed.

    Attributes:
        model: its name.
        seed: of the training.
        state: one of `STATES`.
        norms: (BACK + 1,), the median over the series of the norm of dL/dh so many observations before the last one,
            relative to that after the last.
        accuracy: on the test series.
    """

    model: str
    seed: int
    state: str
    norms: np.ndarray
    accuracy: float

    @property
    def rate(self) -> float:
        """The slope of the logarithm of the norm, per observation."""
        return float(np.polyfit(np.arange(len(self.norms)), np.log(np.maximum(self.norms, 1e-300)), 1)[0])


class Kept(nn.Module):
    """A jump whose results keep their gradients."""

    def __init__(self, jump: nn.Module) -> None:
        super().__init__()
        self.jump, self.results = jump, list[Tensor]()

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        found: Tensor = self.jump(h, x)
        found.retain_grad()
        self.results.append(found)
        return found


def arriving(module: nn.Module, batch: Batch, back: int = BACK) -> np.ndarray:
    """The norms of `Arriving`.

    Args:
        module: a trained `Classifier`, in evaluation mode.
        batch: of its task: times, rows, mask, label.
        back: observations before the last one; shorter series are left out.
    """
    times, x, mask, label = batch
    lengths = mask.sum(1)
    chosen = lengths > back
    times, x, mask, label, lengths = (part[chosen] for part in (times, x, mask, label, lengths))
    rnn = cast(Classifier, module).rnn
    rnn.jump = kept = Kept(rnn.jump)
    try:
        # a sum: each series has the gradient of its own loss
        total: Any = nn.functional.cross_entropy(module(times, x, mask), label, reduction="sum")
        total.backward()
    finally:
        rnn.jump = kept.jump
    module.zero_grad()
    norms = torch.stack([cast(Tensor, one.grad).square().sum(dim=1).sqrt() for one in kept.results], dim=1)
    place = lengths[:, None] - 1 - torch.arange(back + 1)
    found = norms.gather(1, place)
    return (found / found[:, :1]).median(dim=0).values.double().numpy()


def study(
    models: Sequence[str] = MODELS,
    *,
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
    back: int = BACK,
    size: int | None = None,
) -> Iterator[Arriving]:
    """Every model and seed, before training and after it."""
    task = tasks.find("vowels")
    setting = replace(task.setting(), epochs=epochs, evaluate_every=None)
    if size is not None:
        setting = replace(setting, size=dict.fromkeys(setting.size, size))
    data = task.load(None, setting)
    for seed in range(seeds):
        for model in models:
            training = Training(Trial(task, setting, model, "adam", seed), data)
            twin = task.build(model, setting, data).eval()  # without the hooks of what counts

            def asked(state: str, accuracy: float, training: Training = training, twin: nn.Module = twin) -> Arriving:
                twin.load_state_dict(training.module.state_dict())
                trial = training.trial
                return Arriving(trial.model, trial.seed, state, arriving(twin, data.test, back), accuracy)

            yield asked(STATES[0], math.nan)
            rows = list(training.rows())
            if not rows[-1].message:
                yield asked(STATES[1], rows[-1].accuracy)


def to_markdown(found: Sequence[Arriving]) -> str:
    """A row for each model and state."""
    marks = [mark for mark in MARKS if mark < len(found[0].norms)]
    lines = [
        "# Gradients of trained models",
        "",
        EXPLANATION,
        "",
        "![gradients](trained_gradients.png)",
        "",
        "| model | | seeds | test accuracy | " + " | ".join(f"{m} back" for m in marks) + " | rate, per observation |",
        "|---" * (5 + len(marks)) + "|",
    ]
    for model in dict.fromkeys(one.model for one in found):
        for state in STATES:
            mine = [one for one in found if (one.model, one.state) == (model, state)]
            if not mine:
                continue
            accuracy = np.mean([one.accuracy for one in mine])
            cells = (f"{geometric([one.norms[m] for one in mine]):.2g}" for m in marks)
            lines.append(
                f"| {model} | {state} | {len(mine)} | {'–' if math.isnan(accuracy) else f'{accuracy:.3f}'} | "
                f"{' | '.join(cells)} | {_rate(mine)} |"
            )
    return "\n".join(lines) + "\n"


def _rate(mine: Sequence[Arriving]) -> str:
    mean, low, high = interval([one.rate for one in mine], alpha=0.025)
    return f"{mean:+.3f}" + (f" ({low:+.3f} … {high:+.3f})" if len(mine) > 1 else "")


def to_table(found: Sequence[Arriving]) -> Any:
    """A pandas DataFrame: model, seed, state, back (observations), norm."""
    pd: Any = import_module("pandas")
    rows = [(f.model, f.seed, f.state, back, norm) for f in found for back, norm in enumerate(f.norms)]
    return pd.DataFrame(rows, columns=["model", "seed", "state", "back", "norm"])


def picture(found: Sequence[Arriving], path: Path) -> None:
    """Left before training, right trained: geometric means over the seeds, and their range."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axis, state in zip(axes, STATES, strict=True):
        for place, model in enumerate(dict.fromkeys(one.model for one in found)):
            norms = [one.norms for one in found if (one.model, one.state) == (model, state)]
            if not norms:
                continue
            every, at, colour = np.stack(norms), np.arange(len(norms[0])), COLOURS[place % len(COLOURS)]
            axis.plot(at, np.exp(np.log(every).mean(axis=0)), color=colour, label=model)
            axis.fill_between(at, every.min(axis=0), every.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        axis.set(yscale="log", xlabel="observations before the last one", title=state)
    axes[0].set_ylabel("‖dL/dh‖, 1 after the last observation")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].split("\n\n    python")[0]


def main(folder: str = "reports") -> None:
    """Write trained_gradients.md, its picture and its table into a folder."""
    torch.set_num_threads(1)
    found = list(study())
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "trained_gradients.md").write_text(to_markdown(found), encoding="utf-8")
    picture(found, target / "trained_gradients.png")
    write_table(target / "trained_gradients.parquet", to_table(found))


if __name__ == "__main__":
    main(*sys.argv[1:2])
