"""The table of the two sources of the error of A ⊗ B."""

from __future__ import annotations

import numpy as np
import pytest

from odecheck.studies import kronecker_split


def test_of_one_sample_all_of_the_error_is_that_of_time() -> None:
    table = kronecker_split.table(ends=(0.5, 0.25), counts=(1,))
    assert list(table.columns) == ["layer", "count", "horizon", "total", "time", "samples"]
    np.testing.assert_allclose(table["total"], table["time"], rtol=1e-6)
    assert float(table["samples"].abs().max()) < 1e-9
    first = table[table["layer"] == "first"].set_index("horizon")["total"]
    assert first[0.5] / first[0.25] == pytest.approx(4, rel=0.2)  # with the square of the length
