"""An intervention: from some step on, one frequency is taken out of the token embeddings before every update."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field

from strobe import hookimpl


class RemoveFrequency(BaseModel):
    """`strobe train modular_addition --set p=31 --intervene remove_frequency:frequency=5,start=2000`.

    The rows of W_E that are tokens lose their cosine and sine of `frequency` over the residues, at every update from step `start` on: a model that
    computes with it has to do without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frequency: int = Field(1, ge=1)
    start: int = Field(0, ge=0)
    parameter: str = "embed.W_E"

    @hookimpl
    def before_step(self, step: int, parameters: dict[str, torch.Tensor]) -> None:
        if step < self.start:
            return
        weights = parameters[self.parameter]
        p = len(weights) - 1  # the last row is '='
        angle = 2 * torch.pi * self.frequency * torch.arange(p, dtype=torch.float64) / p
        waves = torch.stack([angle.cos(), angle.sin()]).to(weights) * (2 / p) ** 0.5
        with torch.no_grad():
            weights[:p] -= waves.T @ (waves @ weights[:p])
