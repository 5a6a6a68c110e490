"""What a watched module carries tells what it hears, calls the user's own, and is nothing in a copy."""

from __future__ import annotations

import copy
import pickle

import torch

from odecheck.curvature.hooks import Callback, Hook, nothing


def test_a_callback_tells_the_step_and_calls_the_users_own():
    heard, own = [], []
    callback = Callback(lambda t0, dt: heard.append((t0, dt)), lambda t0, state, dt: own.append(state) or "answer")
    assert callback(torch.tensor(0.5), "state", torch.tensor(0.1)) == "answer"
    assert [tuple(map(float, x)) for x in heard] == [(0.5, torch.tensor(0.1).item())]
    assert own == ["state"]
    assert Callback(lambda t0, dt: None, None)(torch.tensor(0.5), "state", torch.tensor(0.1)) is None


def test_a_hook_sees_what_it_is_called_with_and_changes_nothing():
    seen = []
    layer, x = torch.nn.Linear(2, 2), torch.ones(3, 2)
    before = layer(x)
    layer.register_forward_hook(Hook(lambda module, args, output: seen.append((module, args[0], output))))
    after = layer(x)
    ((module, given, output),) = seen
    assert module is layer and given is x and output is after and torch.equal(before, after)


def test_copies_take_no_part():
    heard = []
    for carried in (Callback(lambda *_: heard.append(1), None), Hook(lambda *_: heard.append(1))):
        for copied in (copy.deepcopy(carried), pickle.loads(pickle.dumps(carried))):
            assert copied is nothing and copied("any", "number", "of", "things") is None
        assert not heard
        carried(0.0, None, 0.1)
        assert heard.pop() == 1
