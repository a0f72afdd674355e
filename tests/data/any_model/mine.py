from __future__ import annotations

import torch
from torch import nn

from strobe import ModuleFamily


class Net(nn.Sequential):
    def __init__(self, hidden: int):
        images = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        super().__init__(*images, nn.Linear(16, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 3))


class Mine(ModuleFamily):
    """A small convolutional net that tells dark, grey and bright images apart."""

    hidden: int = 8
    """Neurons between the image and the answer."""
    site_names = {"blocks.0.mlp.post": "6"}  # canonical site: submodule. That is how measures of neurons find them

    def build(self):
        return Net(self.hidden)  # the module as it is trained

    def data(self):
        brightness = torch.arange(60) % 3
        noise = torch.randn(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
        return 0.3 * noise + brightness[:, None, None, None], brightness  # inputs [n, ...], classes [n]
