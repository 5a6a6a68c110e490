"""What the table of transforms calls right, wrong and an error."""

from __future__ import annotations

import pytest
import torch

from odecheck.studies import transforms
from odecheck.studies.transforms import TRANSFORMS, Handed, exact, outcome


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_exact_answer_is_right_and_a_scaled_one_wrong(name: str) -> None:
    assert outcome(TRANSFORMS[name], exact) == "right"
    assert outcome(TRANSFORMS[name], lambda *a: 1.01 * exact(*a)) == "wrong (1e-02)"


def test_a_lost_derivative_is_wrong_and_what_raises_is_an_error() -> None:
    def cut(y0, matrix, end):
        return exact(y0.detach(), matrix, end)

    def lost(*_):
        raise NotImplementedError

    assert outcome(TRANSFORMS["func.jacrev"], cut).startswith("wrong")
    assert outcome(TRANSFORMS["func.grad"], lost) == "error (NotImplementedError)"


@pytest.mark.parametrize("name", ["backward", "backward through functional_call", "double backward", "dual numbers"])
def test_a_solve_through_a_module_gives_what_the_exact_flow_does(name: str) -> None:
    solve = transforms._torch_libraries()["odecheck.odeint"]
    assert solve is not None
    assert outcome(TRANSFORMS[name], Handed(solve)) == "right"


def test_a_row_for_each_transform_and_a_column_for_each_library() -> None:
    text = transforms.markdown({"a": dict.fromkeys(TRANSFORMS, "right"), "b": dict.fromkeys(TRANSFORMS, "-")})
    assert text.splitlines()[0] == "| transform | a | b |"
    assert text.count("| right | - |") == len(TRANSFORMS)
    assert torch.equal(transforms.ARGUMENTS[0], transforms.START)
