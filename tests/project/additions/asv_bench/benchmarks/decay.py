"""A solve whose evaluations are counted."""

from __future__ import annotations

import torch
import torchdiffeq


class Decay:
    params = (["dopri5", "bosh3"],)
    param_names = ("method",)

    def setup(self, method: str) -> None:
        self.y0, self.t = torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def track_nfe(self, method: str) -> float:
        times: list[float] = []
        torchdiffeq.odeint(lambda t, y: times.append(float(t)) or -y, self.y0, self.t, method=method)
        return float(len(times))
