"""A solver library with a planted defect: watching a step of it refutes what is wrong, and only that."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch
import torchdiffeq
from torch import nn

from odecheck.watching.step import watch

# what is replaced in which file of a copy of the library, and the results that are wrong then
DEFECTS = {
    "adjoint dynamics 2 % too fast": (
        "adjoint.py", "(t, y) + adjoint_params, -adj_y,", "(t, y) + adjoint_params, -1.02 * adj_y,",
        {"dL/dy0", "dL/dtheta"},
    ),
    "parameter gradients doubled": (
        "adjoint.py", "adj_params = aug_state[3:]", "adj_params = [2 * g for g in aug_state[3:]]", {"dL/dtheta"},
    ),
    "observations in between forgotten": (
        "adjoint.py", "aug_state[2] += grad_y[i - 1]", "aug_state[2] += 0 * grad_y[i - 1]", {"dL/dy0", "dL/dtheta"},
    ),
    "the last output a little off": (
        "solvers.py", "return solution", "return solution * (1 + 1e-3)", {"solution", "dL/dy0", "dL/dtheta"},
    ),
}  # fmt: skip


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Imports a copy of torchdiffeq in which one text is another."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def broken(file, old, new):
        shutil.copytree(Path(torchdiffeq.__file__).parent, tmp_path / "broken_solver")
        path = tmp_path / "broken_solver" / "_impl" / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        return importlib.import_module("broken_solver")

    yield broken
    for name in [n for n in sys.modules if n.startswith("broken_solver")]:
        del sys.modules[name]


class Field(nn.Module):
    """A small network."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, t, y):
        return self.net(y)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_a_library_is_refuted(name, library):
    file, old, new, wrong = DEFECTS[name]
    solver = library(file, old, new)
    torch.manual_seed(0)
    field, y0 = Field(), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    with watch() as step:
        solver.odeint_adjoint(field, y0, t, rtol=1e-8, atol=1e-10).square().sum().backward()
    quantities = step.rows[0].quantities
    refuted = {key for key, q in quantities.items() if q.verdict == "refuted"}
    assert refuted
    assert refuted <= wrong
    if name != "the last output a little off":
        assert refuted == wrong, str(step)
