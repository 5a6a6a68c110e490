"""A few of each part of the abuse battery, see tests/abuse: `python -m tests.abuse` draws an hour of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.abuse.__main__ import WORDS, battery, markdown, summary
from tests.abuse.child import run
from tests.abuse.lines import commands, drawn
from tests.abuse.models import DEEDS, ENDLESS
from tests.abuse.models import drawn as drawn_models

FEW = {"lines": 12, "models": 8, "folders": 3, "flips": 30}


def test_nothing_that_nobody_means_ends_in_anything_but_words(tmp_path):
    found = battery(FEW, 1_000, tmp_path, seconds=0.0)
    made = summary(found, tmp_path)
    assert {name: part["failures"] for name, part in made.items()} == {name: [] for name in FEW}
    assert {name: part["judged"] for name, part in made.items()} == {**FEW, "models": 9, "folders": 12}
    assert battery(FEW, 1_000, tmp_path, resume=True, seconds=0.0) == json.loads(json.dumps(found))
    assert all(WORDS[name] in markdown(made) for name in FEW)


def test_every_command_and_every_deed_is_drawn():
    typed = [drawn(seed) for seed in range(1_000)]
    assert set(commands()) <= {line[0] for line in typed}
    options = Counter(word for line in typed for word in line)
    declared = {one.typed for found in commands().values() for one in found if one.typed}
    assert declared <= set(options) and typed[7] == drawn(7)
    assert {deed for seed in range(30) for deed, _ in drawn_models(seed, 8)} == set(DEEDS)
    assert not {deed for seed in range(30) for deed, _ in drawn_models(seed, 8, patient=False)} & set(ENDLESS)


def test_a_copy_deletes_no_folder_of_its_maker(tmp_path):
    with TemporaryDirectory() as kept:
        assert run(["--help"], tmp_path).status == 0
        assert Path(kept).is_dir()
