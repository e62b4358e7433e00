from math import sqrt

import pytest
import torch
from scipy import stats

from nijigan.networks.priors import random_latents
from nijigan.recipe.parts import LatentConfig

CPU = torch.device("cpu")


def draw(prior, n=2000, size=50, seed=0):
    torch.manual_seed(seed)
    return random_latents(n, LatentConfig(size=size, prior=prior), CPU)


def test_normal_latents_are_torchs_own():
    latents = draw("normal", seed=3)
    torch.manual_seed(3)
    assert torch.equal(latents, torch.randn(2000, 50))


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        ("normal", stats.norm()),
        ("truncated-normal", stats.truncnorm(-2, 2)),
        ("uniform", stats.uniform(-1, 2)),
    ],
)
def test_numbers_follow_their_distribution(prior, distribution):
    z = draw(prior).double()
    assert stats.kstest(z.flatten().numpy(), distribution.cdf).pvalue > 1e-3
    # Apart from each other within a latent and between latents.
    assert abs(float((z[:, 1:] * z[:, :-1]).mean())) < 4 * distribution.var() / sqrt(z.numel())
    assert abs(float((z[1:] * z[:-1]).mean())) < 4 * distribution.var() / sqrt(z.numel())


def test_truncated_numbers_stay_within_two():
    z = draw("truncated-normal", n=20000)
    assert 1.999 < float(z.max()) <= 2
    assert -2 <= float(z.min()) < -1.999


def test_latents_on_the_sphere_are_on_it_and_all_over_it():
    z = draw("sphere", n=20000, size=10).double()
    assert torch.allclose(z.norm(dim=1), torch.tensor(sqrt(10), dtype=torch.float64), atol=1e-5)
    share = (z[:, 3].square() / 10).numpy()  # of the squared length: Beta(1/2, (size - 1)/2)
    assert stats.kstest(share, stats.beta(0.5, 4.5).cdf).pvalue > 1e-3
    assert torch.allclose(z.T @ z / len(z), torch.eye(10, dtype=torch.float64), atol=0.05)


@pytest.mark.parametrize("prior", ["normal", "truncated-normal", "uniform", "sphere"])
def test_latents_are_single_precision_and_have_the_requested_shape(prior):
    z = draw(prior, n=3, size=7)
    assert z.shape == (3, 7)
    assert z.dtype == torch.float32
    assert not torch.equal(z, draw(prior, n=3, size=7, seed=1))
