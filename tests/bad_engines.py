"""Engines as libraries can be: that crash, hang, take all memory, print, or end their process."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import sys
import time
from dataclasses import dataclass
from typing import Literal

import torch

from odecheck import Backprop
from odecheck.engines.library import Asked, Known, Library
from odecheck.solvers import FixedStep


def crash():
    raise RuntimeError("out of luck")


def segfault():
    ctypes.string_at(0)


def vanish():
    os._exit(3)


def leave():
    sys.exit("enough")


def hang():
    while True:
        time.sleep(0.01)


def hang_and_swallow():
    """A loop whose bare `except` swallows the interruption."""
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def hang_out_of_reach():
    """Native code that never comes back to Python."""
    sum(itertools.repeat(1))


def take_all_memory():
    return torch.empty(2**30, dtype=torch.float64)  # 8 GiB, which a system without limits promises at once


def take_all_memory_in_python():
    return bytearray(2**33)


def print_much():
    print("hello from Python")
    os.write(1, b"and from below it\n")


DEEDS = {
    f.__name__: f
    for f in (
        crash,
        segfault,
        vanish,
        leave,
        hang,
        hang_and_swallow,
        hang_out_of_reach,
        take_all_memory,
        take_all_memory_in_python,
        print_much,
    )
}


@dataclass(frozen=True)
class Bad:
    """The right engine, that does something before it solves."""

    deed: str
    target: Literal["flow", "steps"] = "steps"

    @property
    def name(self):
        return f"bad: {self.deed}"

    def solution(self, module, solver, y0, ts):
        DEEDS[self.deed]()
        return Backprop().solution(module, solver, y0, ts)

    def gradient(self, module, solver, y0, ts, loss):
        return Backprop().gradient(module, solver, y0, ts, loss)


@dataclass(frozen=True)
class Good(Bad):
    label: str = "good"

    @property
    def name(self):
        return self.label

    def solution(self, module, solver, y0, ts):
        return Backprop().solution(module, solver, y0, ts)


def asks(release, folder):
    solver = FixedStep("rk4", step=0.1)
    bad = [Asked(solver, Bad(deed), "bad", deed, ("solution",), brief=True) for deed in DEEDS]
    return [*bad, Asked(solver, Good(""), "good", "rk4", ("solution",), brief=True)]


def refuses_to_be_asked(release, folder):
    raise ImportError("operator does not exist")


def good(release, folder):
    return [Asked(FixedStep("rk4", step=0.1), Good("", label="good too"), "good", "rk4", ("solution",), brief=True)]


KNOWN = (
    Known("an exception that is known of", claims=("SOL-9",), methods=("crash",)),
    Known("said to fail, and does not", claims=("SOL-9",), methods=("print_much",)),
)

BAD = Library("bad", "torch", ("2.13.0+cpu",), asks, KNOWN)
MISSING = Library("missing", "no-such-package-of-odecheck", ("1.0",), asks)
UNTESTED = Library("untested", "numpy", ("0.0.1",), good)
BROKEN = Library("broken", "scipy", ("0.0.1",), refuses_to_be_asked)
