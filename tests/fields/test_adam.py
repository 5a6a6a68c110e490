"""AdamNODE: the values of its formulas, and the starts and options that it refuses."""

from __future__ import annotations

import pytest
import torch

from odecheck.fields import AdamNODE, FieldError
from tests.fields.models import inner


@pytest.mark.parametrize(
    ("denominator", "scale"),
    [("paper", lambda v: (v + 0.1) ** 0.5), ("code", lambda v: torch.log1p(v.exp()) ** 0.5 + 0.1)],
)
def test_values_of_the_published_formulas(denominator, scale):
    """h' = −m / D(v), m' = α₁ (−f − m), v' = α₂ (f² − v), number by number."""
    h, m, v = torch.tensor([[0.5, -2.0]]), torch.tensor([[0.25, 3.0]]), torch.tensor([[0.0, 4.0]])
    f = torch.tensor([[1.5, -0.75]])
    rate = AdamNODE(lambda t, h: f, 0.25, 0.5, 0.1, denominator)(torch.tensor(0.0), torch.cat([h, m, v], 1))
    expected = torch.cat([-m / scale(v), 0.25 * (-f - m), 0.5 * (f * f - v)], 1)
    torch.testing.assert_close(rate, expected)


def test_a_second_moment_below_zero_has_a_root_in_the_code_alone():
    y = torch.tensor([[1.0, 1.0, -0.5]])
    paper, code = (
        AdamNODE(lambda t, h: h, 0.1, 0.9, denominator=name)(torch.tensor(0.0), y) for name in ("paper", "code")
    )
    assert paper[0, 0].isnan() and code.isfinite().all()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: AdamNODE(inner()).start(torch.ones(1, 3), v=-torch.eye(3)[:1]), "1 negative entries, the smallest -1"),
        (lambda: AdamNODE(inner(), epsilon=0.0), "epsilon is 0.0.*give epsilon > 0"),
        (lambda: AdamNODE(inner(), denominator="both"), "'paper' .* or 'code'"),
    ],
)
def test_what_does_not_fit_is_refused(act, says):
    with pytest.raises(FieldError, match=says):
        act()
