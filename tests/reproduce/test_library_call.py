"""How a library is called in a script: rows of the committed matrix are reproduced by their library alone."""

from __future__ import annotations

import pandas as pd
import pytest

from odecheck.conformance.find import found
from odecheck.reproduce import script
from tests.reproduce.alone import REPORTS, run_alone

# torchdyn.core imports torchvision, of which a build for another torch does not import; solving needs nothing of it
TORCHDYN = """
import importlib, sys, types
package, core = importlib.import_module("torchdyn"), types.ModuleType("torchdyn.core")
core.__path__ = [folder + "/core" for folder in package.__path__]
sys.modules["torchdyn.core"] = core
"""


@pytest.mark.parametrize(
    ("library", "kinds", "before"),
    [
        ("torchode", [("DER-13", "JointBacksolve"), ("HES-4", "JointBacksolve"), ("DER-7", "AutoDiff")], ""),
        ("torchdyn", [("SOL-3", "autograd"), ("USE-2", "adjoint"), ("DER-7", "autograd")], TORCHDYN),
        ("diffrax", [("DER-7", "RecursiveCheckpoint")], ""),
    ],
)
def test_rows_of_the_committed_matrix_are_reproduced_by_their_library_alone(library, kinds, before, tmp_path):
    pytest.importorskip(library)
    table = pd.read_parquet(REPORTS / "conformance.parquet")
    texts: list[str] = []
    for claim, engine in kinds:
        asked = (table.library == library) & (table.claim == claim) & (table.engine == engine)
        at = found(table[asked & (table.verdict == "refuted")].row.iloc[0], REPORTS)
        texts.append(
            script(
                at.claim,
                at.subject,
                at.problem,
                observed=at.observed,
                expected=at.expected,
                bar=at.bar,
                worst=at.worst,
                library=at.library,
            )
        )
    for kind, (code, said) in zip(kinds, run_alone(texts, tmp_path, before), strict=True):
        assert code == 1, (kind, said)
