"""The end time in a training of digits: as the command trains it, moved by the formula of the paper and by no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from torch import Tensor

from odecheck import tasks
from odecheck.optim.horizon import HorizonFeedback
from odecheck.tasks.end_times import POLICIES
from odecheck.training.loop import Training, Trial, train
from odecheck.training.rows import Unit
from tests.training.spheres import numbers

TASK = tasks.find("digits-end-time")
MODELS = tuple(POLICIES)
WHOLE = TASK.load(None, TASK.setting())
DATA = type(WHOLE)(*(tuple(x[:48] for x in split) for split in WHOLE))
RATE, PENALTY = 0.1, 0.2
SHORT = replace(
    TASK.setting(),
    size=dict.fromkeys(MODELS, 4),
    batch=16,
    epochs=2,
    evaluate_every=3,
    clip=0.5,
    more={"penalty": PENALTY, "every": 2, "decay": 0.5, "end_rate": dict.fromkeys(MODELS, RATE)},
)


def trial(model: str, optimizer: str = "sgd") -> Trial:
    return Trial(TASK, SHORT, model, optimizer, seed=0)


def test_t_is_one_until_it_is_moved_and_fixed_where_nobody_does() -> None:
    ends = {model: [row.end_time for row in train(trial(model), DATA) if row.split == "train"] for model in MODELS}
    assert ends.pop("ConvNODE") == [1.0] * 6
    for mine in ends.values():
        assert [mine[0], mine[1] == mine[2], mine[3] == mine[4]] == [1.0, True, True]
        assert len(set(mine)) == 4


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "snopt"])
def test_it_goes_on_bit_for_bit(optimizer: str, tmp_path) -> None:
    """Also when it was given up between two moves of T."""
    one = trial("ConvNODE-feedback", optimizer)
    for count, _row in enumerate(train(one, DATA, tmp_path, every=0.0)):
        if count == 3:
            break
    assert not Unit(tmp_path).ended
    assert numbers(train(one, DATA, tmp_path)) == numbers(train(one, DATA))


def moved(policy: type[HorizonFeedback], monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[float]]:
    """δT of each move of a training, and what the paper's formula gives, from gradients taken anew."""
    monkeypatch.setitem(POLICIES, "ConvNODE-feedback", policy)  # type: ignore[arg-type]
    training = Training(trial("ConvNODE-feedback"), DATA)
    seen, expected = list[float](), list[float]()
    slope, curvature = None, None
    for batch, before, theta, T in _steps(training):
        twin = TASK.build("ConvNODE-feedback", SHORT, DATA)
        twin.load_state_dict(before)
        TASK.loss(twin, batch).loss.backward()
        (end,) = (p for name, p in twin.named_parameters() if name.endswith("end"))
        q = float(end.grad)
        slope = q if slope is None else (slope + q) / 2
        curvature = q**2 if curvature is None else (curvature + q**2) / 2
        if training.step % 2 == 0:
            others = [(n, p) for n, p in twin.named_parameters() if not n.endswith("end")]
            feedback = sum(float((p.grad * (theta[n] - p.detach())).sum()) for n, p in others) * q
            expected.append(-RATE * (slope + PENALTY * float(end.detach()) + feedback) / (curvature + PENALTY))
            seen.append(T - float(end.detach()))
    return seen, expected


def _steps(training: Training) -> Iterator[tuple[tuple[Tensor, ...], dict[str, Tensor], dict[str, Tensor], float]]:
    """Of each step the batch, the parameters before and after, and T after."""
    batches = list[tuple[Tensor, ...]]()
    take = training._batch
    training._batch = lambda epoch: batches.append(take(epoch)) or batches[-1]
    before = {k: v.clone() for k, v in training.module.state_dict().items()}
    for row in training.rows():
        if row.split == "train":
            after = {k: v.clone() for k, v in training.module.state_dict().items()}
            yield batches[-1], before, after, row.end_time
            before = after


def test_the_feedback_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """T is a float32 number near 1: a move is known to 1e-7 of it."""
    seen, expected = moved(HorizonFeedback, monkeypatch)
    assert len(seen) == 3 and seen == pytest.approx(expected, rel=1e-4, abs=2e-7)


class Turned(HorizonFeedback):
    """The feedback with the wrong sign."""

    def _change(self, seen, length, penalty):
        return -(seen.slope + penalty * length - seen.feedback()) / (seen.curvature + penalty)


class Twice(HorizonFeedback):
    """The feedback twice."""

    def _change(self, seen, length, penalty):
        return -(seen.slope + penalty * length + 2 * seen.feedback()) / (seen.curvature + penalty)


class Uphill(HorizonFeedback):
    """The whole policy with the wrong sign."""

    def _change(self, seen, length, penalty):
        return -super()._change(seen, length, penalty)


class Open(HorizonFeedback):
    """Without the feedback."""

    def _change(self, seen, length, penalty):
        return -(seen.slope + penalty * length) / (seen.curvature + penalty)


@pytest.mark.parametrize("wrong", [Turned, Twice, Uphill, Open])
def test_a_wrong_feedback_is_seen(wrong: type[HorizonFeedback], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, expected = moved(wrong, monkeypatch)
    assert seen != pytest.approx(expected, rel=1e-4, abs=2e-7)
