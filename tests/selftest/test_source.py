"""Mutants of a module's text: every family finds its place, and each mutant differs in one."""

from __future__ import annotations

import ast

import pytest

from odecheck.selftest import source

LAW = '''
def rate(t, y, a, b):
    """a + b"""
    total = 0
    for x in y:
        total += x
    if t > 0:
        raise ValueError(f"{a + b}")
    return a * y - b.T @ f(t, y[1:])
'''


@pytest.fixture
def law(tmp_path, monkeypatch):
    path = tmp_path / "law.py"
    path.write_text(LAW)
    monkeypatch.setattr(source, "path_of", lambda module: path)
    return source.mutants("odecheck.law")


def test_every_family_finds_its_place(law):
    found = {(m.family, m.after) for m in law}
    assert ("sign", "a * y + b.T @ f(t, y[1:])") in found
    assert ("dropped term", "a * y") in found
    assert ("doubled term", "a * y - 2 * (b.T @ f(t, y[1:]))") in found
    assert ("transpose", "b") in found
    assert ("wrong time", "f(0 * t, y[1:])") in found
    assert ("wrong index", "y[:-1]") in found
    assert ("stale state", "pass") in found
    assert {m.family for m in law} >= {"scale 1 + 1e-6", "float32"}
    # messages of errors and docstrings compute nothing
    assert not any("a + b" in m.before for m in law)


def test_a_mutant_differs_in_one_place(law):
    right = ast.dump(ast.parse(LAW))
    texts = [ast.unparse(source.mutated(m)) for m in law]
    assert len(set(texts)) == len(law)
    assert all(ast.dump(ast.parse(text)) != right for text in texts)
    assert all(m.after in text for m, text in zip(law, texts, strict=True))


def test_keys_are_different():
    everything = [m.key for module in source.modules() for m in source.mutants(module)]
    assert len(everything) > 1000
    assert len(set(everything)) == len(everything)
