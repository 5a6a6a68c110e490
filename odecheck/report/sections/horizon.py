"""How far back a gradient reaches, and the spectrum along the solution that explains it."""

from __future__ import annotations

from typing import Any

import numpy as np

from odecheck.report.reader import Found
from odecheck.report.text import Axis, Caption, Chart, Panel, Section, Series

PLACE = 80

AGAIN = "python -m odecheck.studies.spectrum reports"


def section(found: Found) -> Section | None:
    norms, eigenvalues = found.tables.get("gradient_norms"), found.tables.get("eigenvalues")
    charts = [
        make(rows) for rows, make in ((norms, _norms), (eigenvalues, _eigenvalues)) if rows is not None and len(rows)
    ]
    if not charts:
        return None
    lead = (
        "All models have the same inner networks, the descent of a convex potential. Where a gradient fades, early "
        "states cannot be learnt from what is seen late."
    )
    return Section("horizon", "Long horizons", lead, tuple(charts))


def _norms(rows: Any) -> Chart:
    made = []
    for model in dict.fromkeys(rows["model"]):
        groups = rows[rows["model"] == model].groupby("back")["norm"]
        low, middle, high = (groups.quantile(q) for q in (0.25, 0.5, 0.75))
        made.append(Series(model, [*middle.index], [*middle], marks=False, low=[*low], high=[*high], band=True))
    caption = Caption(
        "Median and quartiles over networks of the gradient of a loss at T in the state h at t, which is 1 at t = T. "
        "A straight fall is exponential forgetting; a level line keeps early states within reach.",
        "‖∂L/∂h(t)‖ for ‖∂L/∂h(T)‖ = 1; T − t in the model's own time",
        f"{rows.groupby(['model', 'seed']).ngroups} networks in {rows['model'].nunique()} models",
        AGAIN,
    )
    panel = Panel("", Axis("T − t"), Axis("‖∂L/∂h(t)‖", log=True), tuple(made))
    return Chart("gradient-norms", "Gradients over long horizons", caption, (panel,))


def _eigenvalues(rows: Any) -> Chart:
    """Spectra in the plane, and their largest and smallest real parts along the trajectory."""
    models = list(dict.fromkeys(rows["model"]))
    plane = []
    for model in models:
        mine = rows[rows["model"] == model]
        mine = mine.iloc[:: max(1, len(mine) // 1500)]  # enough to see the cloud
        plane.append(Series(model, [*mine["real"]], [*mine["imag"]], line=False))
    panels = [
        Panel("eigenvalues of ∂F/∂y along the solutions", Axis("real part"), Axis("imaginary part"), tuple(plane))
    ]
    if np.isfinite(rows["back"]).any():
        along = []
        for model in models:
            mine = rows[rows["model"] == model]
            largest = mine.groupby(["seed", "back"])["real"].max().groupby("back")
            low, middle, high = (largest.quantile(q) for q in (0.25, 0.5, 0.75))
            along.append(Series(model, [*middle.index], [*middle], marks=False, low=[*low], high=[*high], band=True))
        panels.append(Panel("largest real part", Axis("T − t"), Axis("largest real part"), tuple(along)))
    caption = Caption(
        "Left: a cloud far to the left of zero is fast forgetting. Right: the slowest direction along the trajectory, "
        "median and quartiles over networks. A heavy ball's pairs lie at −γ/2, an AdamNODE's at −α1/2.",
        "1 / the model's own time",
        f"{len(rows):,} eigenvalues; left at most 1,500 of each model, evenly chosen",
        AGAIN,
    )
    return Chart("eigenvalues", "Spectra along the trajectory", caption, tuple(panels))
