from fractions import Fraction

import numpy as np
import torch

from zoobench.training.dropout import RunDropout


def test_dropout_masks_have_each_runs_rate_and_keep_the_mean():
    rates = torch.tensor([0.0, 0.1, 0.5, 0.7])
    mask = RunDropout(torch.arange(4), rates, step=3).mask(2, (50, 16, 13, 13)).flatten(1)
    assert (mask[0] == 1).all()
    np.testing.assert_allclose((mask == 0).float().mean(1), rates, atol=3e-3)
    np.testing.assert_allclose(mask.mean(1), 1, atol=1e-2)
    assert mask[2].unique().tolist() == [0, 2]


def test_dropout_masks_depend_on_the_run_the_layer_and_the_step_alone():
    seeds, rates = torch.arange(5), torch.full((5,), 0.5)
    mask = RunDropout(seeds, rates, step=7).mask(1, (4, 6))
    assert torch.equal(RunDropout(seeds[3:4], rates[3:4], step=7).mask(1, (4, 6))[0], mask[3])
    assert torch.equal(RunDropout(seeds, rates, step=7).mask(1, (2, 6)), mask[:, :2])
    assert not torch.equal(RunDropout(seeds, rates, step=8).mask(1, (4, 6)), mask)
    assert not torch.equal(RunDropout(seeds, rates, step=7).mask(2, (4, 6)), mask)


def test_a_threshold_and_a_scale_are_the_nearest_numbers_to_the_rates():
    rates = torch.rand(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.99
    least, scale = RunDropout(torch.arange(5000), rates, step=1).thresholds()
    dropped = [round(Fraction(rate) * 65536) for rate in rates.tolist()]
    assert least.tolist() == [count - 32768 for count in dropped]
    assert scale.tolist() == [float(np.float32(65536) / np.float32(65536 - count)) for count in dropped]
