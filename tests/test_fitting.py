"""How fast a network learns: an encoder wider than the packaged one at a lower rate."""

import pytest
from torch import nn

from model.fit_settings import FitSettings
from model.fitting import optimizer_for
from model.network import ReasonCodeNetwork


@pytest.mark.parametrize(("width", "share"), [(32, 1), (384, 1), (768, 1 / 2), (1024, 3 / 8)])
def test_a_wider_encoder_learns_at_a_lower_rate(width, share):
    plan = FitSettings(warmup=0.0, encoder_rate=1e-4, head_rate=1e-3)
    network = ReasonCodeNetwork(nn.Linear(1, 1), width, n_codes=2)
    optimizer, _ = optimizer_for(network, plan, steps=10, haste=2.0)
    rates = {id(group["params"][0]): group["lr"] for group in optimizer.param_groups}
    assert rates[id(network.backbone.weight)] == pytest.approx(2e-4 * share)
    assert rates[id(network.query)] == pytest.approx(2e-3)
