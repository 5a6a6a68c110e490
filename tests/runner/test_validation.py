"""What is refused by validation: each with what was seen, why and what to type; and its neighbour that passes."""

import numpy as np
import pytest
import torch
from odecheck_reference import Problem, ProblemError, fields
from odecheck_reference.losses import SquaredError
from torch import nn

from odecheck import Adaptive, Backprop, BadInput, FixedStep, Subject, module_pairs
from odecheck.runner.validation import validate

TS = np.array([0.0, 0.5, 1.0])


class Net(nn.Module):
    """A small field with a place for one mistake."""

    def __init__(self, mistake=lambda self, t, y, value: value):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.outer, self.mistake = nn.Linear(2, 3), nn.Linear(3, 2), mistake
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return self.mistake(self, t, y, self.outer(torch.tanh(self.inner(y))) * (1 + t))


def refusal(module, y0=((1.0, 0.5), (-0.25, 2.0)), ts=TS) -> BadInput:
    """The refusal of a plain module, which has all three parts."""
    with pytest.raises(BadInput) as caught:
        passes(module, y0, ts)
    refused = caught.value
    assert all(len(part) > 10 for part in (refused.seen, refused.cause, refused.fix))
    assert str(refused).count("\n") >= 2
    return refused


def passes(module, y0=((1.0, 0.5), (-0.25, 2.0)), ts=TS) -> None:
    for subject, problem in module_pairs(module, y0, ts):
        validate(subject, problem)


def test_a_right_module_passes():
    passes(Net())
    passes(Net().float())
    passes(Net(), ts=TS[::-1])


def test_a_field_that_checks_its_state():
    """It takes its start and the solution, and raises not far beside them."""

    def checked(self, t, y, value):
        if bool((y.abs() > 2.02).any()):
            raise ValueError("the state has left its box")
        return -torch.sigmoid(value) * y

    passes(Net(checked))
    passes(Net(checked), y0=((1.0, 2.0),))
    assert "raised ValueError" in refusal(Net(checked), y0=((1.0, 2.5), (1.0, 0.0))).seen


def test_output_of_another_shape():
    assert "shape (2, 3)" in refusal(WithoutTime(nn.Linear(2, 3))).seen
    passes(WithoutTime(nn.Linear(2, 2)))


class WithoutTime(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, t, y):
        return self.inner(y)


def test_a_forward_with_other_arguments():
    assert "forward" in refusal(nn.Linear(2, 2)).cause
    passes(WithoutTime(nn.Linear(2, 2)))


def test_a_state_of_another_shape():
    assert "raised RuntimeError" in refusal(Net(), y0=((1.0, 0.5, 0.25),)).seen
    assert "(2,)" in refusal(Net(), y0=(1.0, 0.5)).seen
    passes(Net(), y0=((1.0, 0.5),))


def test_a_state_that_is_no_array():
    assert "no array of numbers" in refusal(Net(), y0=((1.0, 0.5), (1.0,))).seen


def test_another_dtype():
    assert "float32" in refusal(Net(lambda self, t, y, value: value.float())).seen
    assert "dtype" in refusal(Net(lambda self, t, y, value: value @ torch.eye(2)).double()).fix
    passes(Net(lambda self, t, y, value: value @ torch.eye(2)))  # it computes in float32, and its copy in float64
    passes(Net(lambda self, t, y, value: value.float().double() * 0 + value))


def test_another_device():
    assert "meta" in refusal(Net(lambda self, t, y, value: value.to("meta"))).seen
    passes(Net(lambda self, t, y, value: value.to("cpu")))


def test_nan_on_the_way_and_when_it_begins():
    def root(self, t, y, value):
        return torch.sqrt(0.5 - t) * value

    seen = refusal(Net(root)).seen
    assert 0.5 <= float(seen.split("t = ")[1].split()[0]) < 0.75
    passes(Net(root), ts=(0.0, 0.2, 0.4))


def test_infinity_of_a_solution_that_ends():
    class Square(nn.Module):
        def forward(self, t, y):
            return y * y

    refused = refusal(Square(), y0=((2.0,),))  # y = 1 / (1/2 - t)
    assert "t = 0.5" in refused.seen or "t = 0.49" in refused.seen, refused
    passes(Square(), y0=((0.5,),))


def test_nan_in_the_start():
    assert "finite" in refusal(Net(), y0=((1.0, float("nan")),)).seen


def test_a_random_field():
    assert "two values" in refusal(Net(lambda self, t, y, value: nn.functional.dropout(value, 0.5))).seen
    passes(Net(lambda self, t, y, value: nn.functional.dropout(value, 0.5, training=False)))


def test_a_field_that_counts_its_calls():
    assert "two values" in refusal(Net(lambda self, t, y, value: value * (1 + 1e-9 * self.calls))).seen
    passes(Net(lambda self, t, y, value: value))


def test_batch_normalisation():
    module = Net(lambda self, t, y, value: self.norm(value))
    module.norm = nn.BatchNorm1d(2)
    assert "buffers" in refusal(module).seen
    passes(module.eval())


def test_rows_that_see_each_other():
    def mixed(self, t, y, value):
        return value - 0.1 * value.mean(0, keepdim=True)

    assert "rows beside it" in refusal(Net(mixed)).seen
    assert "rows beside it" in refusal(Net(mixed), y0=((1.0, 0.5),)).seen
    passes(Net(lambda self, t, y, value: value - 0.1 * value.mean(1, keepdim=True)))


def test_derivatives_that_are_cut_off():
    assert "automatic differentiation" in refusal(Net(lambda self, t, y, value: value * y.detach())).seen
    passes(Net(lambda self, t, y, value: value * y))


def test_a_derivative_that_lies_in_a_window_of_time():
    def window(self, t, y, value):
        weight = self.outer.weight.detach() if 0.2 < t < 0.4 else self.outer.weight
        return torch.tanh(self.inner(y)) @ weight.T + self.outer.bias

    refused = refusal(Net(window))
    assert "in the direction of outer.weight" in refused.seen
    assert "of 256 random times, from t = 0.2" in refused.seen
    assert "detach()" in refused.cause
    passes(Net(lambda self, t, y, value: value * (1.0 if t < 0.4 else 2.0)))


def test_a_field_that_remembers():
    def frozen(self, t, y, value):
        self.first = getattr(self, "first", t.detach())
        return value / (1 + t) * (1 + self.first)

    def cached(self, t, y, value):
        self.kept = getattr(self, "kept", self.outer.weight.detach().clone())
        return torch.tanh(self.inner(y)) @ self.kept.T + self.outer.bias + 0 * self.outer.weight.sum()

    assert "is not a function of (t, y, parameters)" in refusal(Net(frozen)).seen
    refused = refusal(Net(cached))
    assert "with changed parameters" in refused.seen
    assert "cached" in refused.cause
    called = Net(cached).double()
    called(torch.tensor(0.0), torch.ones(1, 2, dtype=torch.float64))
    assert "no number that the parameters outer.weight are given" in refusal(called).seen


def test_a_number_made_of_the_time_is_told_as_what_it_is():
    refused = refusal(Net(lambda self, t, y, value: value + torch.sin(t.new_tensor(float(t))) * y))
    assert "in the direction of t;" in refused.seen
    assert "torch.tensor(t)" in refused.cause and "t.to(y)" in refused.fix


def test_a_backward_pass_that_fails():
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, *grads):
            if float(grads[0].abs().max()) not in (0.0, 1.0):
                raise RuntimeError("not today")
            return grads[0]

    class Field(nn.Module):
        def forward(self, t, y):
            return Failing.apply(y)

    assert "not today" in refusal(Field(), y0=((1.0, 0.5),)).seen


@pytest.mark.parametrize(
    ("formula", "y0"),
    [
        (lambda s, t, y: -s.k * y / (1e-6 + y), 1e-6),
        (lambda s, t, y: -1e6 * s.k * y**3, 1e-6),
        (lambda s, t, y: -1e6 * s.k * y + torch.sin(5e2 * t), 1.0),
    ],
)
def test_fields_of_small_or_fast_scales_pass(formula, y0):
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.k = nn.Parameter(torch.tensor(1e-6, dtype=torch.float64))

        def forward(self, t, y):
            return formula(self, t, y)

    passes(Field(), y0=((y0,),))


@pytest.mark.parametrize("ts", [(0.0, 1.0, 0.5), (0.0, 0.0, 1.0), (0.0,)])
def test_times_that_are_not_monotone(ts):
    assert "monotone" in refusal(Net(), ts=ts).seen


def test_no_problem_is_too_large():
    passes(WithoutTime(nn.Linear(200, 200)), y0=np.ones((5, 200)))


def decay(**changes) -> Problem:
    ones = np.ones((3, 1, 2))
    problem = Problem(
        "decay", fields.Linear(2), np.ones((1, 2)), np.array([-1.0, 0, 0, -2, 0, 0]), TS, SquaredError(ones, ones)
    )
    return problem.with_(**changes)


def test_a_step_budget_that_is_spent():
    few = Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=3), Backprop())
    with pytest.raises(BadInput, match=r"stopped at t = 0\.\d+ of 1, after \d+ evaluations") as caught:
        validate(few, decay())
    assert "max_steps" in caught.value.fix
    validate(Subject(None, Adaptive("dopri5", rtol=1e-9), Backprop()), decay())


def test_steps_too_long_for_the_method():
    stiff = decay(theta=np.array([-4000.0, 0, 0, -1, 0, 0]), ts=np.array([0.0, 5.0, 10.0]))
    with pytest.raises(BadInput, match="NaN or infinity"):
        validate(Subject(None, FixedStep("rk4", step=0.05), Backprop()), stiff)
    validate(Subject(None, FixedStep("rk4", step=0.05), Backprop()), decay())


def test_a_field_with_another_number_of_parameters():
    with pytest.raises(BadInput, match="parameters"):
        validate(Subject(lambda theta: Net(), Adaptive(), Backprop()), decay())
    with pytest.raises(BadInput, match="cannot be made"):
        validate(Subject(lambda: Net(), Adaptive(), Backprop()), decay())  # type: ignore[arg-type]


def test_problem_errors_say_what_to_change():
    with pytest.raises(ProblemError, match="monotone"):
        decay(ts=np.array([0.0, 1.0, 0.5]))
