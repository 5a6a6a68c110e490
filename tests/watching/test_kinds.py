"""What a finding does to a verdict is said in one table, and the table, the code and the page say the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import odecheck.watching
from odecheck.watching.kinds import KINDS, Weight, finding

from .mistakes import Dense, trained
from .steps import stepped

FOLDER = Path(odecheck.watching.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/howto/watch.md"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_found_somewhere_and_is_on_the_page(kind):
    said = [
        p.name for p in FOLDER.glob("*.py") if p.name != "kinds.py" and f'"{kind}"' in p.read_text(encoding="utf-8")
    ]
    assert said, "a kind that nothing finds: take its line out of KINDS"
    weight, when = KINDS[kind]
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {kind} | ")]
    assert [line.split(" | ")[1] for line in rows] == [str(weight)], f"| {kind} | {weight} | ... in {PAGE.name}"
    assert when in rows[0] and (weight is Weight.EITHER) == bool(when)


def _called() -> list[tuple[str, bool]]:
    """(kind, whether `wrong` is said) of every finding whose kind stands in the code."""
    calls = [
        node
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    ]
    named = [(call, call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id) for call in calls]
    return [
        (call.args[0].value, any(one.arg == "wrong" for one in call.keywords))
        for call, name in named
        if name in ("say", "finding")
    ]


def test_every_finding_is_in_the_table_before_a_user_meets_it():
    """One that is not would raise in the midst of what is watched."""
    called = _called()
    assert len(called) > 30
    assert [kind for kind, wrong in called if kind not in KINDS or wrong != (KINDS[kind][0] is Weight.EITHER)] == []


def test_a_kind_that_the_table_has_not_is_refused():
    with pytest.raises(ValueError, match="a line in KINDS"):
        finding("something new", "...")
    with pytest.raises(ValueError, match="wrong, or advice"):
        finding("half precision", "...")
    with pytest.raises(ValueError, match="is for EITHER"):
        finding("stiff", "...", wrong=False)


class Noisy(Dense):
    def forward(self, t, y):
        return self.net(y) + 1e-2 * torch.randn_like(y)


@pytest.mark.parametrize(("how", "verdict"), [({"method": "rk4"}, "inconclusive"), ({"method": "dopri5"}, "refuted")])
def test_noise_is_wrong_where_steps_follow_an_estimate_and_advice_where_they_are_fixed(how, verdict):
    """There is no solution to compare with, and so neither of them holds."""
    loose = {"rtol": 1e-1, "atol": 1e-1} if how["method"] == "dopri5" else {"options": {"step_size": 0.25}}
    row = stepped(lambda: trained(Noisy(), torch.randn(4, 3), **how, **loose)).rows[0]
    assert [f.kind for f in row.said] == ["noise in every evaluation"] and row.verdict == verdict


class Half(nn.Module):
    """y' = −y / 2."""

    def forward(self, t, y):
        return -y / 2


@pytest.mark.parametrize(("granted", "note"), [(4, True), (2, False)])
def test_a_solve_that_comes_to_its_end_with_its_last_step_is_advice(granted, note):
    def make():
        y0 = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
        run = trained(Half(), y0, rtol=1e-6, atol=1e-8, method="dopri5", options={"max_num_steps": granted})

        def step():
            try:
                run()
            except AssertionError:
                return

        return step

    found = [f for f in stepped(make).rows[0].said if f.kind == "uses up its steps"]
    assert [f.note for f in found] == [note]
