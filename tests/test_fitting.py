"""How fast a network learns, and how often it reads: by the encoder, the comments and the codes."""

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


@pytest.mark.parametrize(
    ("comments", "codes", "processes", "passes"),
    [
        (6000, 12, 1, 3),  # enough steps as they are
        (960, 12, 1, 20),  # 600 steps
        (960, 12, 2, 30),  # of half as many for each process, 30 at most
        (32, 12, 1, 30),
        (8000, 77, 1, 6),  # 1,540 steps for so many codes
        (8000, 60, 1, 4),
        (8000, 1000, 1, 6),  # twice the usual at most
    ],
)
def test_few_comments_and_many_codes_get_more_passes(comments, codes, processes, passes):
    assert FitSettings().passes(comments, codes, processes) == passes


def test_a_set_gets_no_more_passes_than_it_is_told_to():
    plan = FitSettings(epochs=1, least_steps=0)
    assert plan.passes(32, 77) == plan.passes(20_000, 77) == 1
