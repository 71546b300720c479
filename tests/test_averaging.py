"""The moving average of weights."""

import pytest
import torch

from model.averaging import WeightAverage


def test_it_follows_the_weights_and_gives_them_back():
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(8.0)
    average.update()  # keeps 2/11 of the start
    average.update()  # keeps 3/12
    expected = 8 * (1 - 2 / 11 * 3 / 12)
    with average.applied():
        assert network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 8.0


def test_the_weights_come_back_after_a_failure():
    network = torch.nn.Linear(1, 1)
    before = network.weight.item()
    average = WeightAverage(network, 0.9)
    average.average[0].fill_(99.0)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert network.weight.item() == before
