"""Drawn pairs are the same everywhere, and a claim that refutes a right one is a false alarm."""

from __future__ import annotations

from dataclasses import replace

from odecheck.claims import ALL
from odecheck.judge import Verdict
from odecheck.record import evaluate
from odecheck.selftest import false_alarms, operators


def test_batches_are_the_same_everywhere_and_differ():
    one, again, other = (false_alarms.batch(3, k, 1) for k in (0, 0, 1))
    digests = [[(false_alarms.digest(p), s.name) for p, s in batch] for batch in (one, again, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len({s.name for _, s in one}) == len(one) == false_alarms.SUBJECTS


def test_a_claim_that_refutes_the_right_subject_is_a_false_alarm():
    problem, _ = false_alarms.batch(3, 0, 1)[0]
    subject = false_alarms.CORRECT[1]
    wrong = operators.altered(subject.engine, "y0", "doubled term")
    bad = evaluate(next(c for c in ALL if c.id == "NODE-1"), replace(subject, engine=wrong), problem)
    assert bad.verdict == Verdict.REFUTED
    assert false_alarms.false_alarm(bad, subject, problem)
