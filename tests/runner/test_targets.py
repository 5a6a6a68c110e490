"""A user's own model: what may be given, and what a callback into torch says and does not say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from odecheck_reference import catalogue, gradient
from odecheck_reference.fields import Mlp
from torch import nn

from odecheck import HOLDS, REFUTED, BadInput, check, module_pairs, pairs
from odecheck.fields.callback import CallbackField
from odecheck.fields.from_reference import torch_twin
from odecheck.mutants import derivatives as mutants

MODEL = '''
import numpy as np
import torch
from torch import nn
from odecheck import SHIPPED, Adaptive, Adjoint, Backprop, Subject
from odecheck import problems as shipped_problems

class Net(nn.Module):
    """States of shape (batch, 2, 2), float32 weights."""
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 2)
    def forward(self, t, y):
        return torch.tanh(self.layer(y)) * torch.cos(t) - y

class Decay(nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.rate = nn.Parameter(theta.clone())
    def forward(self, t, y):
        return -self.rate * y

net = Net()
y0 = torch.tensor([[[1.0, 0.5], [0.25, -1.0]]])
with_times = (net, y0, [0.0, 0.25])
example = Net()
example.example_state = y0
shipped = Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Adjoint())
several = [shipped, Subject(SHIPPED, Adaptive("dopri5", rtol=1e-8), Backprop())]
pair = (shipped, shipped_problems()[0])
own = Subject(Decay, Adaptive(), Adjoint())
number = 7

def made():
    return [pair, (net, y0)]

def broken(argument):
    return argument
'''


@pytest.fixture
def model(tmp_path, monkeypatch) -> str:
    """The path of a user's file; under a name of its own, because a module is imported once."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / f"model_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(MODEL)
    return str(path)


def test_a_module_of_any_state_shape_holds(model):
    found = pairs([f"{model}:with_times"])
    assert [problem.y0.shape for _, problem in found] == [(1, 4)] * 2
    records = check(found, claims=["SOL-1", "SOL-2", "NODE-2"])
    assert [r.verdict for r in records if r.claim != "SOL-1"] == [HOLDS] * 4
    assert all(r.verdict == "not applicable" for r in records if r.claim == "SOL-1")
    assert not any(r.independent for r in records)


def test_a_mistake_in_the_engine_is_refuted_without_a_twin(model):
    subject, problem = pairs([f"{model}:with_times"])[0]
    for wrong in (mutants.scaled("theta", 1.0002), mutants.TRANSPOSED_JACOBIAN):
        assert check([(wrong(subject), problem)], claims="NODE-2")[0].verdict is REFUTED
    assert check([(subject, problem)], claims="NODE-2")[0].verdict is HOLDS


@pytest.mark.parametrize(
    ("name", "count"), [("example", 2), ("shipped", 4), ("several", 8), ("pair", 1), ("made", 3), ("with_times", 2)]
)
def test_what_a_target_may_be(model, name, count):
    assert len(pairs([f"{model}:{name}"])) == count
    assert len(pairs([f"{Path(model).stem}:{name}", f"{model}:pair"])) == count + 1


def test_an_example_state_from_the_command_line(model):
    found = pairs([f"{model}:net"], state="[[[1, 2], [3, 4]]]", times="[0, 2]")
    assert found[0][1].y0.tolist() == [[1, 2, 3, 4]]
    assert found[0][1].ts.tolist() == [0, 2]
    with pytest.raises(BadInput, match="example state"):
        pairs([f"{model}:net"])
    with pytest.raises(BadInput, match="not a list of numbers"):
        pairs([f"{model}:net"], state="[[1,")


def test_problems_beside_the_subject(model):
    with pytest.raises(BadInput, match="no problem comes with it") as caught:
        pairs([f"{model}:own"])
    assert "problems = [" in caught.value.fix
    beside = Path(model).with_name("beside_" + Path(model).name)
    beside.write_text(MODEL + "\nproblems = [shipped_problems()[0].with_(name='mine')]\n")
    assert [problem.name for _, problem in pairs([f"{beside}:own"])] == ["mine"]
    assert [problem.name for _, problem in pairs([f"{beside}:shipped"])] == ["mine"]


@pytest.mark.parametrize(
    ("target", "seen", "fix"),
    [
        ("{file}:severall", "has no 'severall'", ":several"),
        ("{stem}x:several", "there is no module", "{stem}:several"),
        ("{folder}/{stem}x.py:several", "there is no file", "{stem}.py"),
        ("odecheck.mutant:a", "there is no module 'odecheck.mutant'", "odecheck.mutants"),
        ("{file}:number", "is int", "a Subject"),
        ("{file}:Net", "is type", "a Subject"),
        ("{file}:broken", "raised TypeError", "def subjects()"),
        ("{file}", "has no 'subjects'", "{stem}"),
    ],
)
def test_targets_that_are_refused(model, monkeypatch, target, seen, fix):
    path = Path(model)
    monkeypatch.chdir(path.parent)
    names = {"file": model, "stem": path.stem, "folder": str(path.parent)}
    with pytest.raises(BadInput) as caught:
        pairs([target.format(**names)])
    assert seen in caught.value.seen
    assert fix.format(**names) in caught.value.fix
    assert caught.value.cause


def test_files_that_do_not_import(tmp_path):
    for name, text, seen in [
        ("torn_file.py", "def (", "SyntaxError"),
        ("needs_another.py", "import surely_not_installed", "surely_not_installed"),
        ("random.py", "subjects = []", "another module has this name"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(BadInput, match=seen):
            pairs([str(tmp_path / name)])


def test_a_callback_has_the_jet_of_the_hand_derived_field():
    field = Mlp(2, 2, (3,), "tanh", time=True)
    rng = np.random.default_rng(0)
    theta, y = rng.standard_normal(field.params), rng.standard_normal((3, 2))
    callback = CallbackField(torch_twin(field)(torch.tensor(theta)), (2,))
    assert (callback.state, callback.params) == (field.state, field.params)
    exact, called = field.jet(0.3, y, theta, 2), callback.jet(0.3, y, theta, 2)
    for one, other in [(exact.value, called.value), (exact.first, called.first), (exact.second, called.second)]:
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-13)
    assert callback.jet(0.3, y, theta, 0).first is None
    assert callback.jet(0.3, y, theta, 1).second is None


def test_a_callback_gives_the_reference_the_same_gradient():
    problem = catalogue.quick()[1]
    module = torch_twin(problem.field)(torch.tensor(problem.theta))
    called = problem.with_(field=CallbackField(module, (2,)), independent=False)
    one, other = gradient(problem), gradient(called)
    np.testing.assert_allclose(other.theta.value, one.theta.value, rtol=1e-11)
    np.testing.assert_allclose(other.ts.value, one.ts.value, rtol=1e-11)


def test_a_callback_without_a_batching_rule_or_a_derivative():
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, *g):
            (x,) = ctx.saved_tensors
            return g[0] * x.cos() + 0 * float(x.sum())  # a number of the values: there is no batching of it

    class Field(nn.Module):
        def forward(self, t, y):
            return Sine.apply(y)

    class Constant(nn.Module):
        def forward(self, t, y):
            return torch.ones_like(y)

    y = np.array([[0.5, 1.0]])
    first = CallbackField(Field(), (2,)).jet(0.0, y, np.zeros(0), 1).first
    np.testing.assert_allclose(first[0, :, 1:], np.diag(np.cos(y[0])), atol=1e-15)
    assert not CallbackField(Constant(), (2,)).jet(0.0, y, np.zeros(0), 2).second.any()


def test_the_given_module_is_left_alone():
    net = nn.Module()
    net.forward = lambda t, y: -y  # type: ignore[method-assign]
    net.weight = nn.Parameter(torch.ones(1))
    found = module_pairs(net, [[1.0]])
    made = found[0][0].module(found[0][1].with_(theta=np.array([2.0])))
    assert net.weight.dtype == torch.float32
    assert net.weight.item() == 1.0
    assert next(made.parameters()).item() == 2.0


def test_a_subject_keeps_its_solver_when_it_is_changed():
    subject, problem = module_pairs(nn.Identity(), [[1.0]])[0]
    assert replace(subject, label="mine").name == "mine"
    assert problem.independent is False
