"""The pytest plug-in: what a user's test file does, in a pytest of its own."""

import json
from xml.etree import ElementTree

import pytest

# an inner pytest forgets what it imported: torch has to be here before it
from odecheck import Adjoint, check, problems

pytest_plugins = "pytester"
assert all((Adjoint, check, problems))

DECAY = """
# test_my_model.py
from dataclasses import dataclass
import numpy as np
import torch
import odecheck
from odecheck import ALL, HOLDS, Adaptive, Adjoint, Problem, Subject
from odecheck_reference.fields import Jet
from odecheck_reference.losses import SquaredError

class MyField(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.rate = torch.nn.Parameter(theta.clone())

    def forward(self, t, y):
        return -self.rate * y

@dataclass(frozen=True)
class Decay:
    state = 1
    params = 1
    parts = {"y": slice(0, 1)}

    def jet(self, t, y, theta, order):
        value = -theta[0] * y
        if order == 0:
            return Jet(value)
        first = np.zeros((len(y), 1, 3))
        first[..., 1], first[..., 2] = -theta[0], -y
        second = np.zeros((len(y), 1, 3, 3))
        second[..., 1, 2] = second[..., 2, 1] = -1
        return Jet(value, first, second)

y0, ts = np.array([[1.0], [0.5]]), np.array([0.0, 0.5, 1.0])
ones = np.ones((3, 2, 1))
my_problem = Problem("decay", Decay(), y0, np.array([0.75]), ts, SquaredError(ones, 0.25 * ones))
"""

EXAMPLE = """
@odecheck.parametrize([Subject(MyField, Adaptive("dopri5", rtol=1e-7), Adjoint())], problems=[my_problem], claims=ALL)
def test_my_model(record): assert record.verdict is HOLDS, record
"""

UNDECIDED = """
coarse = Subject(MyField, Adaptive("dopri5", rtol=1e-2), Adjoint())

@odecheck.parametrize([coarse], problems=[my_problem], claims="NODE-2")
def test_that_asserts(record): assert record.verdict is HOLDS

@odecheck.parametrize([coarse], problems=[my_problem], claims="NODE-2")
def test_that_looks_away(record): assert record.verdict is not odecheck.REFUTED
"""

MANY = """
import odecheck
from odecheck import HOLDS, Adaptive, Backprop, FixedStep, Subject
from odecheck.mutants.derivatives import SCALED_SOLUTION

solver, engine = Adaptive("dopri5", rtol=1e-7), Backprop()
right = Subject(None, solver, engine, label="right")
wrong = SCALED_SOLUTION(Subject(None, solver, engine, label="wrong"))
known = SCALED_SOLUTION(Subject(None, solver, engine, {"SOL-2": "scaled on purpose"}, label="known"))
stale = Subject(None, solver, engine, {"SOL-2": "was fixed since"}, label="stale")
coarse = Subject(None, Adaptive("bosh3", rtol=1e-2), engine, label="coarse")
few = Subject(None, Adaptive("dopri5", rtol=1e-9, max_steps=2), engine, label="few")

subjects = (s for s in [right, wrong, known, stale, coarse, few])

@odecheck.parametrize(subjects, odecheck.problems()[:1], ["SOL-2", "SOL-3"])
def test_many(record):
    assert record.verdict is HOLDS, record
"""


@pytest.fixture
def inner(pytester, monkeypatch):
    """Run pytest in this process with this plug-in alone; others take seconds to import, each time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("CI", "BUILD_NUMBER"):  # there pytest's last lines repeat each message whole
        monkeypatch.delenv(name, raising=False)
    return lambda *options: pytester.runpytest_inprocess("-p", "odecheck.pytest_plugin", *options)


def test_the_example_of_a_user_runs_as_written(pytester, inner):
    pytester.makepyfile(test_my_model=DECAY + EXAMPLE)
    result = inner("-p", "no:cacheprovider", "-rs")
    counts = result.parseoutcomes()
    assert counts["passed"] > 8
    assert set(counts) == {"passed", "skipped"}
    result.stdout.fnmatch_lines(["*odecheck: * holds*", "*not applicable: an adaptive solver has no order*"])


def test_what_is_inconclusive_is_no_pass_and_never_silent(pytester, inner):
    pytester.makepyfile(DECAY + UNDECIDED)
    result = inner("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1, warnings=2)
    result.stdout.fnmatch_lines(["*NODE-2 is inconclusive*to decide it: an error that is*rtol=*"])
    inner("-p", "no:cacheprovider", "-W", "error").assert_outcomes(errors=2)


def written_to(*kinds: str) -> list[str]:
    return [word for kind in kinds for word in (f"--odecheck-{kind}", f"out/{kind}")]


def test_verdicts_become_outcomes(pytester, inner):
    pytester.makepyfile(MANY)
    result = inner("-rA", *written_to("json", "summary", "badge"), "--junitxml", "junit.xml")
    # SOL-3 is skipped for each but `few`, which is refused twice at the door
    result.assert_outcomes(passed=1, failed=3, xfailed=1, skipped=5, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*XFAIL*SOL-2-*known*scaled on purpose*",
            "*XPASS(strict)*was fixed since*",
            "*SOL-2 refuted*",
            "*observed / expected 1.0002*",
            "*SOL-2 inconclusive*",
            "*what to type: Adaptive(*",
            "*odecheck: *2 holds*",
        ]
    )
    written = json.loads((pytester.path / "out/json").read_text(), parse_constant=pytest.fail)
    assert written["facts"]["tier"] == "quick"
    verdicts = {row["subject"]: row["verdict"] for row in written["records"] if row["claim"] == "SOL-2"}
    assert verdicts == {
        "right": "holds",
        "stale": "holds",
        "known": "refuted",
        "wrong": "refuted",
        "coarse": "inconclusive",
    }
    assert (
        "2 of 5 verdicts are not as expected (1 known to fail and held, 1 refuted); 2 tests"
        in (pytester.path / "out/summary").read_text()
    )
    badge = json.loads((pytester.path / "out/badge").read_text())
    assert badge["message"] == "0 of 2 claims hold" and badge["color"] == "red"
    case = next(
        c for c in ElementTree.parse(pytester.path / "junit.xml").iter("testcase") if "SOL-2" in str(c.get("name"))
    )
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties["odecheck.claim"] == "SOL-2"
    assert float(properties["odecheck.resolved"] or "nan") < 1e-4


def test_ids_are_short_and_k_can_name_them(pytester, inner):
    pytester.makepyfile(DECAY + EXAMPLE)
    result = inner("-p", "no:cacheprovider", "-v", "-k", "NODE-2-decay-MyField-dopri5-1e-07-torchdiffeq-adjoint")
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])


def test_a_refused_model_is_one_message_without_our_source(pytester, inner):
    pytester.makepyfile(MANY)
    said = "\n".join(inner("-p", "no:cacheprovider", "-k", "few").outlines)
    assert said.count("what to type") == 1 and "is refused, as " in said
    assert "runner/validation.py" not in said and "def record(" not in said


def test_junit_says_once_what_does_not_apply(pytester, inner):
    pytester.makepyfile(MANY)
    inner("-p", "no:cacheprovider", "--junitxml", "junit.xml")
    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()[0]
    told = {name: int(suite.get(name) or 0) for name in ("tests", "failures", "errors", "skipped")}
    assert told == {"tests": 8, "failures": 3, "errors": 2, "skipped": 2} and len(suite.findall("testcase")) == 8
    skipped = [one.get("message") for one in suite.iter("skipped")]
    assert any("5 cases of 1 claims do not apply or are not supported: SOL-3" in str(one) for one in skipped)


def test_the_same_under_xdist(pytester):
    pytest.importorskip("xdist")
    pytester.makepyfile(MANY)
    pytester.makeini("[pytest]\nodecheck_json = records.json\n")
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=1, failed=3, xfailed=1, skipped=5, errors=2)
    rows = json.loads((pytester.path / "records.json").read_text())["records"]
    assert [(r["subject"], r["claim"]) for r in rows] == [
        (s, c) for s in ("coarse", "known", "right", "stale", "wrong") for c in ("SOL-2", "SOL-3")
    ]


@pytest.mark.parametrize(("options", "tier"), [((), "quick"), (("--odecheck-tier", "full"), "full")])
def test_the_tier_says_which_problems(pytester, inner, options, tier):
    pytester.makepyfile("""
        import odecheck
        from odecheck import SHIPPED, Adaptive, Adjoint, Subject

        @odecheck.parametrize(Subject(SHIPPED, Adaptive(), Adjoint()), claims="SOL-1")
        def test_one(record):
            pass
    """)
    result = inner("--collect-only", "-q", *options)
    assert sum("SOL-1" in line for line in result.outlines) == len(problems(tier))
    pytester.makeini(f"[pytest]\nodecheck_tier = {tier}\n")
    result = inner("--collect-only", "-q")
    assert sum("SOL-1" in line for line in result.outlines) == len(problems(tier))


def test_profiles(pytester):
    pytester.makepyfile("""
        from hypothesis import settings

        def test_profile():
            assert settings().max_examples == 10_000
            assert settings().deadline is None
    """)
    pytester.runpytest_subprocess("--odecheck-profile", "deep").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("ini", "options", "text"),
    [
        ("odecheck_tier = slow", (), "*odecheck_tier = slow*quick, full*"),
        ("", ("--odecheck-tier", "slow"), "*--odecheck-tier*slow*"),
        ("odecheck_profile = fast", (), "*odecheck_profile = fast*"),
    ],
)
def test_wrong_options_are_refused(pytester, inner, ini, options, text):
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = inner(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([text])


def test_marks_are_strict_and_the_fixture_needs_one(pytester, inner):
    pytester.makepyfile("""
        def test_bare(record):
            pass
    """)
    result = inner("--strict-markers")
    result.stdout.fnmatch_lines(["*needs @odecheck.parametrize*"])
    assert "@pytest.mark.odecheck" in inner("--markers").stdout.str()


def test_pytest_starts_without_torch(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plug-ins import what they like
    pytester.makepyfile("""
        import sys

        def test_light():
            assert not {"torch", "numpy", "scipy"} & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "odecheck.pytest_plugin", "--odecheck-tier", "full").assert_outcomes(passed=1)
