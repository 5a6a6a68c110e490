"""The report of a run with everything in it, made once for all who read it."""

import pytest

from odecheck.report import build
from tests.report_runs import everything


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    return build([everything(tmp_path_factory.mktemp("whole") / "all")])
