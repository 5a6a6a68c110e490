"""Run folders and tables to make reports of: small, written by hand, no solve behind them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from odecheck.judge import Verdict
from odecheck.record import Record
from odecheck.records.journal import CHECKSUM, digest
from odecheck.records.run_folder import about, frame
from odecheck.report.schemas import Parquet
from odecheck.report.tables import kinds

NAN = float("nan")
HELD = Record(
    claim="SOL-2",
    subject="dopri5(rtol=1e-08), torchdiffeq adjoint",
    problem="linear with time",
    verdict=Verdict.HOLDS,
    ok=True,
    expected_verdict="holds",
    expected_failure="",
    independent=True,
    resolution=1e-5,
    resolved=2e-7,
    score=0.01,
    worst="[1, 0, 1]",
    observed=0.5,
    expected=0.5 + 1e-9,
    bar=1e-7,
    ratio=1.0 - 2e-9,
    budget=json.dumps({"observed: truncation": 9e-8, "expected: truncation": 1e-8}),
    target="flow",
    nfe=812,
    solves=3,
    seconds=0.25,
    message="In the limit of small tolerances the states are those of the exact flow.",
    source="definition of the flow",
    looked_at=1e-3,
)
FAILED = replace(HELD, problem="pendulum", verdict=Verdict.REFUTED, ok=False, observed=0.7, score=2e6, resolved=0.4)
UNSURE = replace(HELD, problem="stiff", verdict=Verdict.INCONCLUSIVE, ok=False, resolved=0.3, bar=0.1)
UNSURE = replace(UNSURE, decides="rtol=1e-10 in place of 1e-08")
KNOWN = replace(FAILED, claim="NODE-3", ok=True, expected_failure="the grid of steps is not differentiated")
AS_READ = replace(FAILED, claim="HB-4", ok=True, expected_verdict="refuted")
NOTHING = replace(
    HELD,
    claim="HB-2",
    verdict=Verdict.NOT_APPLICABLE,
    worst="",
    observed=NAN,
    expected=NAN,
    bar=NAN,
    score=NAN,
    ratio=NAN,
    resolved=NAN,
    budget="{}",
    message="not a heavy ball",
)
CRASHED = replace(NOTHING, claim="SOL-6", verdict=Verdict.ERROR, ok=False, message="ValueError: no\n  a.py:1 f: g()")
ORDERS = [
    replace(
        HELD,
        claim=claim,
        problem=problem,
        subject=f"{method}(step=0.05), torchdiffeq backprop",
        observed=order,
        expected=float(round(order)),
        bar=0.2,
        nfe=100 * k,
    )
    for claim in ("SOL-3", "SOL-4", "SOL-5")
    for k, (method, order) in enumerate([("euler", 1.0), ("rk4", 3.97)], start=1)
    for problem in ("linear with time", "pendulum")
]
ALL = [HELD, FAILED, UNSURE, KNOWN, AS_READ, NOTHING, CRASHED, *ORDERS]


def run(folder: Path, records: list[Record], **more: Any) -> Path:
    """A run that has ended, with these records."""
    folder.mkdir(parents=True)
    facts = {
        **about({"claims": [], "pairs": []}, seed=0),
        "finished": "2026-01-01T00:00:00+00:00",
        "command": ["odecheck", "verify"],
        "source": {"targets": [], "tier": "quick"},
        **more,
    }
    (folder / "run.json").write_text(json.dumps({**facts, CHECKSUM: digest(facts)}))
    frame(records).to_parquet(folder / "records.parquet", index=False)
    return folder


def many(count: int) -> list[Record]:
    """As many records, no two alike."""
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(size=(count, 4))
    return [
        replace(
            (base := ALL[i % len(ALL)]),
            problem=f"{base.problem} {i}",
            nfe=int(500 * sizes[i, 0]),
            seconds=sizes[i, 1],
            observed=base.observed * sizes[i, 2],
            bar=base.bar * sizes[i, 3],
            budget=json.dumps({"observed: truncation": base.bar * sizes[i, 3], "expected: truncation": sizes[i, 2]}),
        )
        for i in range(count)
    ]


def cost() -> pd.DataFrame:
    rows = [
        {
            "model": "NODE",
            "problem": "pendulum",
            "library": library,
            "engine": engine,
            "method": method,
            "rtol": rtol,
            "quantity": quantity,
            "achieved_error": rtol * (2 + k),
            "nfe_forward": 40 * rtol**-0.2 * (k + 1),
            "nfe_backward": NAN if quantity == "solution" else 80 * rtol**-0.2,
            "cpu_seconds": 0.01 * rtol**-0.2,
            "saved_bytes": 1e5 * (k + 1),
            "peak_bytes": 3e5,
            "device": "cpu",
            "dtype": "float64",
        }
        for quantity in ("solution", "gradient", "hvp")
        for k, (library, engine) in enumerate([("torchdiffeq", "adjoint"), ("odecheck", "discrete")])
        for method in ("dopri5", "bosh3")
        for rtol in (1e-3, 1e-5, 1e-7)
    ]
    return pd.DataFrame(rows)


def training() -> pd.DataFrame:
    rows = [
        {
            "task": "nested spheres",
            "model": model,
            "optimizer": "Adam",
            "learning_rate": 0.01,
            "seed": seed,
            "parameters": 525,
            "step": 10 * epoch,
            "epoch": epoch,
            "split": split,
            "loss": 1 / (1 + epoch + k + 0.1 * seed),
            "accuracy": 1 - 1 / (2 + epoch),
            "nfe_forward": 30 + epoch,
            "nfe_backward": 50 + epoch + k,
            "cpu_seconds": 2.0 * epoch + seed,
            "wall_seconds": 2.0 * epoch + seed,
            "peak_bytes": 1e6,
        }
        for k, model in enumerate(["NODE", "HBNODE"])
        for seed in (0, 1, 2)
        for epoch in range(1, 6)
        for split in ("train", "test")
    ]
    return pd.DataFrame(rows).assign(end_time=0.5, knobs="", overshoot=1.5)


def conformance() -> pd.DataFrame:
    verdicts = ["holds", "refuted", "inconclusive", "unsupported", "holds"]
    rows = [
        {
            "library": library,
            "version": "1.0",
            "engine": "adjoint",
            "method": "dopri5",
            "claim": claim,
            "problem": problem,
            "verdict": verdicts[(i + j + k) % 5],
            "ok": True,
            "error": 1e-9,
            "resolved": 1e-6,
            "error_over_tolerance": 3.0,
            "score": 0.2,
            "observed": 1.0,
            "expected": 1.0,
            "bar": 1e-6,
            "nfe": 100,
            "seconds": 0.1,
            "message": "m",
            "expected_failure": "",
            "row": f"{i}{j}{k}",
            "reproducer": "import numpy as np\nraise SystemExit(1)\n" if verdicts[(i + j + k) % 5] == "refuted" else "",
        }
        for i, library in enumerate(["torchdiffeq", "torchode", "diffrax"])
        for j, claim in enumerate(["SOL-2", "SOL-10", "DER-1"])
        for k, problem in enumerate(["linear", "pendulum"])
    ]
    return pd.DataFrame(rows)


def studies(folder: Path) -> None:
    """The tables of the studies: gradient norms, eigenvalues, stability."""
    models, back = ["NODE", "HBNODE", "GHBNODE", "AdamNODE"], [0.0, 5.0, 10.0]
    pd.DataFrame(
        [
            {"model": m, "seed": s, "back": b, "norm": np.exp(-b * (1 + s) / (1 + k))}
            for k, m in enumerate(models)
            for s in (0, 1)
            for b in back
        ]
    ).to_parquet(folder / "gradient_norms.parquet")
    pd.DataFrame(
        [
            {"model": m, "seed": s, "back": b, "real": -1.0 / (1 + k), "imag": i}
            for k, m in enumerate(models)
            for s in (0, 1)
            for b in back
            for i in (-1.0, 1.0)
        ]
    ).to_parquet(folder / "eigenvalues.parquet")
    pd.DataFrame(
        [
            {
                "model": m,
                "inner": "linear",
                "solver": s,
                "what": w,
                "outcome": o,
                "failed": f,
                "runs": 3,
                "smallest_v": v,
                "largest_h": 2.0,
                "message": "",
            }
            for m in ("HBNODE", "AdamNODE")
            for s in ("dopri5 1e-03", "rk4 h=2")
            for w in ("solution", "gradient")
            for o, f, v in [("no result", 2, NAN) if m == "AdamNODE" else ("v < 0 inside a step", 0, -0.1)]
        ]
    ).to_parquet(folder / "stability.parquet")


def split() -> pd.DataFrame:
    rows = [
        ("first", count, end, end**2 + 0.1 * (count > 1), end**2, 0.1 * (count > 1))
        for count in (1, 3)
        for end in (0.5, 1.0, 2.0)
    ]
    return pd.DataFrame(rows, columns=["layer", "count", "horizon", "total", "time", "samples"])


def selftest() -> dict[str, Any]:
    """What `odecheck selftest --write` keeps."""
    survivor = {"mutant": "start time, sign", "family": "sign", "part": "start time", "status": "survived"}
    return {
        "facts": {"seed": 0},
        "mutants": {
            "mutants": 120,
            "refuted": 119,
            "unexplained": 1,
            "unexplained_mutants": [survivor],
            "claims": [{"claim": "SOL-2", "refuted": 119, "alone": 7, "kept": ""}],
        },
        "kinds": {"mutants": 480, "refuted": 479, "unexplained_mutants": [{"mutant": "SOL-9: nothing at all"}]},
        "planted": {"records": 40, "refuted": 38},
        "false-alarms": {"rows": 30_000, "judged": 20_000, "alarms": []},
        "bars": {"problems": 5_000, "outside": 0, "median": 45.0},
        "discernment": [
            {"test": test, "engine": "adjoint", "rtol": rtol, "part": part, "smallest_refuted": k * rtol}
            for test in ("NODE-1", "gradcheck")
            for rtol in (1e-4, 1e-8)
            for k, part in enumerate("ab", 1)
        ],
    }


def history() -> pd.DataFrame:
    rows = [
        {
            "benchmark": "solve.QuickSolve.track_nfe",
            "params": params,
            "machine": "m",
            "kind": "track",
            "unit": "evaluations",
            "commit": commit,
            "position": i,
            "value": float(n + 6 * i),
            "spread": 0.0,
        }
        for params, n in (("dopri5", 62), ("bosh3", 93))
        for i, commit in enumerate(["a" * 40, "b" * 40])
    ]
    return pd.DataFrame(rows)


def everything(folder: Path, records: list[Record] | None = None) -> Path:
    """A folder with every table that a report reads."""
    run(folder / "verified", ALL if records is None else records)
    studies(folder)
    for name, table in (
        ("cost", cost()),
        ("training", training()),
        ("conformance", conformance()),
        ("kronecker_split", split()),
        ("history", history()),
    ):
        (folder / name).mkdir()
        kind = kinds()[name]
        assert isinstance(kind, Parquet)
        whole = table.reindex(columns=list(kind.columns))
        whole.to_parquet(folder / name / f"{name}.parquet")
    ledger = [
        {
            "claim": "SOL-2",
            "statement": "It is met.",
            "source": "flow",
            "verdict": "holds",
            "problems": 6,
            "held": 6,
            "resolved": 1e-7,
        }
    ]
    (folder / "ledger.json").write_text(json.dumps(ledger))
    (folder / "selftest.json").write_text(json.dumps(selftest()))
    return folder
