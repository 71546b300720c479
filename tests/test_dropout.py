"""Dropout from random bytes: the right share, the mean kept, one seed, and nothing outside training."""

import numpy as np
import pytest
import torch
from torch import nn

from model.dropout import ByteDropout, draw_from_bytes


def layer(p, seed=0):
    return ByteDropout(p, np.random.Generator(np.random.SFC64(seed)))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_it_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    given = torch.rand(400, 500) + 1.0
    found = layer(p)(given)
    share = (found == 0).double().mean().item()
    cut = round(p * 256) / 256
    assert share == pytest.approx(cut, abs=5 * (cut * (1 - cut) / given.numel()) ** 0.5)
    assert found.mean().item() == pytest.approx(given.mean().item(), rel=0.01)
    kept = found != 0
    assert torch.allclose(found[kept], given[kept] / (1 - cut))


def test_one_seed_decides():
    given = torch.ones(64, 32)
    assert torch.equal(layer(0.3, 5)(given), layer(0.3, 5)(given))
    assert not torch.equal(layer(0.3, 5)(given), layer(0.3, 6)(given))
    once = layer(0.3, 5)
    assert not torch.equal(once(given), once(given))


def test_it_is_off_outside_training_and_at_zero():
    given = torch.ones(8, 8)
    assert layer(0.5).eval()(given) is given
    assert layer(0.0)(given) is given


def test_gradients_flow_where_elements_were_kept():
    given = torch.ones(16, 16, dtype=torch.bfloat16, requires_grad=True)
    found = layer(0.25)(given)
    found.sum().backward()
    assert found.dtype == torch.bfloat16
    assert torch.equal(given.grad != 0, found.detach() != 0)


def test_every_layer_of_a_network_is_replaced():
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.2), nn.ReLU()), nn.Dropout(0.4))
    generator = np.random.Generator(np.random.SFC64(0))
    draw_from_bytes(network, generator)
    layers = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    assert [type(m) for m in layers] == [ByteDropout, ByteDropout]
    assert [m.p for m in layers] == [0.2, 0.4]
    assert all(m.generator is generator for m in layers)
