"""A made-up training run, as `odecheck train` leaves it."""

from __future__ import annotations

import json
import math
from pathlib import Path

from odecheck.training.rows import Row, frame


def made(optimizer: str, rate: float, seed: int, end: float, seconds: float, message: str = "") -> list[Row]:
    """Forty steps whose loss falls from 2 to `end`, with an evaluation after every fourth."""
    losses = [2 * (end / 2) ** (i / 39) for i in range(40)]
    about = ("made", "M", optimizer, rate, seed, 100)
    rows = [
        Row(
            *about,
            i + 1,
            i // 4 + 1,
            "train",
            x,
            nfe_forward=20,
            nfe_backward=26,
            cpu_seconds=seconds * (i + 1),
            message=message if i == 39 else "",
        )
        for i, x in enumerate(losses)
    ]
    tests = [
        Row(*about, i, i // 4, "test", losses[i - 1], nfe_forward=20, cpu_seconds=seconds * i) for i in range(4, 41, 4)
    ]
    return [*rows, *tests]


def folder_of_a_run(folder: Path, finished: str | None) -> Path:
    rows = []
    for seed in (100, 0, 1, 2):
        wobble = math.exp(0.02 * seed) if seed < 100 else 1.0
        for rate, end in ((0.01, 0.9), (0.1, 0.02 * wobble)):
            rows += made("snopt", rate, seed, end, 0.1) if seed == 100 or rate == 0.1 else []
        for rate, stop in ((0.02, ""), (0.2, "the loss is nan")):
            rows += made("sgd", rate, seed, 0.3, 0.1, stop) if seed == 100 or not stop else []
        rows += made("adam", 0.01, seed, 0.1, 0.2)
    folder.mkdir()
    frame(rows).to_parquet(folder / "training.parquet")
    setting = {"name": "default", "epochs": 10, "batch": 5, "tolerance": 1e-3, "clip": 1.0}
    command = ["odecheck", "train", "made", "--run", "/somewhere", "--tune", "1"]
    facts = {
        "cases": {"setting": setting},
        "command": command,
        "versions": {"torch": "2"},
        "trials": [],
        "finished": finished,
    }
    (folder / "run.json").write_text(json.dumps(facts))
    return folder
