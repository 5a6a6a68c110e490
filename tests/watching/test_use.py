"""What a user has of it: the table, records, numbers for a log, a budget, a command, a fixture."""

from __future__ import annotations

import json

import pytest
import torch
from torchdiffeq import odeint, odeint_adjoint
from typer.testing import CliRunner

import odecheck
from odecheck.cli import app
from odecheck.records.run_folder import read
from odecheck.watching.step import watch

from .mistakes import MISTAKES
from .right_models import MODELS

pytest_plugins = "pytester"

TRAIN = """
import argparse
import torch
from torch import nn
from torchdiffeq import odeint_adjoint

arguments = argparse.ArgumentParser()
arguments.add_argument("--rtol", type=float, default=1e-5)
arguments.add_argument("--forget", action="store_true")
given = arguments.parse_args()
torch.manual_seed(0)

class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.more = [nn.Linear(2, 2)] if given.forget else []

    def forward(self, t, y):
        return torch.tanh(self.net(y)) + sum(layer(y) for layer in self.more)

def main():
    field = Field()
    optimizer = torch.optim.Adam(field.parameters())
    for step in range(5):
        optimizer.zero_grad()
        y = odeint_adjoint(field, torch.ones(3, 2), torch.tensor([0.0, 1.0]), rtol=given.rtol, atol=1e-6)
        y[-1].square().mean().backward()
        optimizer.step()
    print("trained to the end")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    return CliRunner()


def stepped(make):
    torch.manual_seed(0)
    run = make()
    with watch() as step:
        run()
    return step


def test_the_public_name_can_be_called_again_and_again():
    for _ in range(2):
        with odecheck.watch() as step:
            odeint(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]))
        assert len(step.calls) == 1
    with pytest.raises(ValueError, match="every=500"):
        odecheck.watch(every=0)


def test_the_table_says_where_what_and_how_far():
    step = stepped(MODELS["classifier"])
    text = str(step)
    for word in ("right_models.py:", "Dense", "odeint_adjoint dopri5", "1e-04", "→", "±", "holds"):
        assert word in text
    assert "finding" not in text
    assert "finding" in str(stepped(MISTAKES["a_part_is_detached"][1]))
    with watch() as nothing:
        pass
    assert "no ODE solve" in str(nothing)


def test_many_solves_at_one_place_are_one_line():
    step = stepped(MODELS["ode_rnn"])
    assert len(step.rows) == 6
    assert "worst of 6" in str(step)


def test_records_are_like_those_of_any_claim(tmp_path):
    records = stepped(MODELS["training_times"]).check()
    assert [r.claim for r in records] == ["WATCH-1", "WATCH-2", "WATCH-3", "WATCH-4", "WATCH-5"]
    assert all(r.ok and r.verdict is odecheck.HOLDS for r in records)
    wrong = {r.claim: r for r in stepped(MISTAKES["a_part_is_detached"][1]).check()}
    assert wrong["WATCH-5"].verdict is odecheck.REFUTED
    assert "detach" in wrong["WATCH-5"].message
    assert not wrong["WATCH-5"].ok


def test_numbers_for_a_log():
    scalars = stepped(MODELS["classifier"]).scalars("node/")
    assert scalars["node/solves"] == 1
    assert scalars["node/findings"] == 0
    assert 0 < scalars["node/error_dL_dtheta"] < 1e-2


def test_a_budget_that_is_used_up_leaves_rows_not_asked():
    torch.manual_seed(0)
    run = MODELS["ode_rnn"]()
    with watch(budget=0.0) as step:
        run()
    assert {row.verdict for row in step.rows} == {odecheck.INCONCLUSIVE}
    assert "not asked" in str(step)
    assert all(r.verdict is odecheck.INCONCLUSIVE and not r.ok for r in step.check())


def test_the_command_runs_a_script_up_to_its_first_step(script, tmp_path):
    done = script.invoke(app, ["watch", "--run", "watched", "--json", "records.json", "train.py", "--rtol", "1e-4"])
    assert done.exit_code == 0, done.output
    assert "train.py:" in done.output
    assert "1e-04" in done.output
    assert "trained to the end" not in done.output
    facts, records = read(tmp_path / "watched")
    assert facts["watched"] == {"script": "train.py", "arguments": ["--rtol", "1e-4"]}
    assert {r.claim for r in records} == {"WATCH-1", "WATCH-2", "WATCH-3", "WATCH-5"}
    assert len(json.loads((tmp_path / "records.json").read_text())["records"]) == len(records)


def test_the_command_finds_a_mistake_and_says_so_by_its_status(script):
    done = script.invoke(app, ["watch", "--steps", "2", "train.py", "--forget"])
    assert done.exit_code == 1, done.output
    assert "step 2 of 2" in done.output
    assert "more[0].weight is lost" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "there is no script nowhere.py"),
        (["train.py", "--no-such-option"], "made no ODE solve"),
        (["--run", "train.py", "train.py"], "cannot write --run"),
    ],
)
def test_bad_input_is_refused_with_what_to_type(script, arguments, said):
    done = script.invoke(app, ["watch", *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert "what to type" in done.output


def test_the_fixture_fails_a_test_whose_step_is_wrong(pytester):
    pytester.makepyfile(
        """
        import torch
        from torchdiffeq import odeint

        RATE = torch.tensor(0.5, requires_grad=True)

        def train(watch, field):
            with watch() as step:
                odeint(field, torch.ones(2), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)[-1].sum().backward()
            return step

        def test_right(watch):
            assert train(watch, lambda t, y: -RATE * y).rows

        def test_wrong(watch):
            train(watch, lambda t, y: -RATE * y.detach())
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*WATCH-5 refuted*"])


def test_a_second_backward_is_added_up():
    weight = torch.tensor(0.7, requires_grad=True)
    with watch() as step:
        y = odeint_adjoint(lambda t, y: -weight * y, torch.ones(3), torch.tensor([0.0, 1.0]), adjoint_params=(weight,))
        y[-1].sum().backward(retain_graph=True)
        (2 * y[-1].sum()).backward()
    assert step.findings == []
    assert step.rows[0].verdict is odecheck.HOLDS
    assert step.calls[0].cotangent is not None
    assert torch.equal(step.calls[0].cotangent[0][-1], torch.full((3,), 3.0))
