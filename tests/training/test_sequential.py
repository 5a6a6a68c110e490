"""Runs with a design: they stop when decided, go on bit for bit, and take no other design."""

from __future__ import annotations

from itertools import islice

import pytest

from odecheck.errors import BadInput
from odecheck.ledger.design import NO_DIFFERENCE, Design
from odecheck.ledger.training_claims import judge_rows
from odecheck.records.run_folder import read_facts
from odecheck.training import sequential
from odecheck.training.rows import COLUMNS, MEASURED, frame, read
from odecheck.training.sequential import design_for, design_of_tuning, run_design, undecided
from tests.ledger.test_training_claims import MODELS, training
from tests.training.spheres import DATA, SHORT, SPHERES


def go(folder, models, design, resume=False):
    return run_design(SPHERES, SHORT, models, "adam", [], design, DATA, folder, resume=resume)


def test_a_run_stops_when_its_comparisons_are_decided(tmp_path) -> None:
    """In six steps both need 14 evaluations each: no difference at the first look, and no fourth seed."""
    models = ["NODE", "HBNODE"]
    design = design_for(models, ["adam"], [], range(10, 20), [3, 10])
    assert design.claims == ("HB-9",)
    list(go(tmp_path, models, design))
    assert set(read(tmp_path)["seed"]) == {10, 11, 12}
    found = [one for one in judge_rows(read(tmp_path), read_facts(tmp_path)) if {one.subject, one.rival} == {*models}]
    assert [(one.verdict, one.note) for one in found] == [(NO_DIFFERENCE, "look 1 of 2")] * 2


def test_a_run_that_was_interrupted_goes_on_bit_for_bit_and_with_its_own_design_only(tmp_path) -> None:
    models = ["NODE", "AdamNODE"]
    design = design_for(models, ["adam"], [], range(10, 14), [3, 4])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    list(go(whole, models, design))
    begun = go(broken, models, design)
    list(islice(begun, 40))
    begun.close()
    assert 0 < len(read(broken)) < len(read(whole))
    with pytest.raises(BadInput, match="another looks"):
        list(go(broken, models, Design(design.claims, design.seeds, (4,), design.alike), resume=True))
    for _ in range(2):  # the second time there is nothing left to do
        list(go(broken, models, design, resume=True))
    same = [column for column in COLUMNS if column not in MEASURED]
    order = ["model", "seed", "split", "step"]
    one, other = (read(folder).sort_values(order)[same].reset_index(drop=True) for folder in (whole, broken))
    assert one.equals(other) and set(one["seed"]) == {10, 11, 12, 13}
    facts = read_facts(broken)
    assert "look 2 of 2" in {one.note for one in judge_rows(read(broken), facts)} and facts["finished"]


def test_models_of_which_all_is_decided_are_trained_no_more(tmp_path, monkeypatch) -> None:
    """HBNODE and GHBNODE need half of NODE's evaluations; beside SONODE it goes up and down; ANODE is not there."""
    wild = {10: 0.2, 11: 5.0, 12: 1.0}
    rows = [
        row
        for seed in wild
        for model in MODELS
        if model != "ANODE"
        for row in training(model, seed, nfe={"SONODE": 30 * wild[seed], "NODE": 60.0 + 0.1 * seed}.get(model, 30.0))
    ]
    monkeypatch.setattr(sequential, "read", lambda _: frame(rows))
    models = [name for name in MODELS if name != "ANODE"]
    design = Design(("HB-9",), tuple(range(10, 16)), (3, 6), {"HB-9: forward NFE": 1.1, "HB-9: backward NFE": 1.1})
    assert undecided("HB-9", models, tmp_path, design, 0) == {"NODE", "SONODE", "HBNODE", "GHBNODE"}
    assert undecided("HB-9", models, tmp_path, design, 3) == {"SONODE", "HBNODE", "GHBNODE"}


def test_the_claim_of_fewer_models_comes_first_and_margins_are_in_the_design() -> None:
    design = design_for(MODELS, ["adam"], [], range(10, 28), [])
    assert design.claims == ("HB-9", "ADAM-7") and design.looks == (5, 8, 12, 18)
    assert design.alike["HB-9: forward NFE"] == 1.1 and design.alike["ADAM-7: training loss"] == 2.0


def test_optimizers_are_looked_at_once_when_all_seeds_are_trained() -> None:
    design = design_of_tuning(["sgd", "adam", "snopt"], range(5))
    assert design is not None and design.claims == ("SNOPT-13",) and design.looks == (5,) and len(design.alike) == 3
    assert design_of_tuning(["sgd", "adam"], range(5)) is None and design_of_tuning(["adam", "snopt"], [0]) is None


@pytest.mark.parametrize(
    ("models", "optimizers", "rates", "seeds", "what"),
    [
        (["NODE", "HBNODE"], ["adam", "sgd"], [], range(18), "--sequential compares models"),
        (["NODE", "HBNODE"], ["adam"], [0.1, 0.2], range(18), "--sequential compares models"),
        (["NODE", "ANODE"], ["adam"], [], range(18), "--sequential compares models"),
        (["NODE", "HBNODE"], ["adam"], [], range(95, 105), "seed 104"),
        (["NODE", "HBNODE"], ["adam"], [], range(2), "2 seeds are looked at"),
    ],
)
def test_what_makes_no_design_is_refused(models, optimizers, rates, seeds, what) -> None:
    with pytest.raises(BadInput, match=what):
        design_for(models, optimizers, rates, seeds, [])
