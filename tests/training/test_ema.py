import pytest
import torch
from torch import nn

from nijigan.recipe.parts import EmaConfig
from nijigan.training.ema import Ema, recalibrate


def test_the_average_equals_the_closed_form() -> None:
    """θ̄_n = Σ_i (1-β)·β^(n-i)·θ_i + β^n·θ_0, with a constant β once the half-life is reached."""
    config = EmaConfig(half_life_kimg=0.1, warmup=1.0)
    module = nn.Linear(3, 2)
    start = module.weight.detach().clone()
    ema = Ema(module, config)
    beta = 0.5 ** (20 / 100)
    values = []
    for step in range(12):
        with torch.no_grad():
            module.weight.normal_()
        values.append(module.weight.detach().clone())
        ema.update(module, batch=20, images=1000 + 20 * step)
    n = len(values)
    expected = beta**n * start + sum((1 - beta) * beta ** (n - 1 - i) * value for i, value in enumerate(values))
    assert torch.allclose(ema.module.weight, expected, atol=1e-6)


def test_after_one_half_life_a_weight_counts_half() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    ema = Ema(module, EmaConfig(half_life_kimg=1, warmup=1.0))
    with torch.no_grad():
        module.weight.fill_(1.0)
    for step in range(10):  # ten updates of 100 images are one half-life of 1,000
        ema.update(module, batch=100, images=100_000 + step)
    assert float(ema.module.weight) == pytest.approx(0.5)


def test_the_half_life_is_short_while_training_is_young() -> None:
    ema = Ema(nn.Linear(1, 1), EmaConfig(half_life_kimg=10, warmup=0.05))
    assert ema.decay(batch=50, images=1000) == pytest.approx(0.5)  # 5 % of 1,000 images
    assert ema.decay(batch=50, images=10_000_000) == pytest.approx(0.5 ** (50 / 10_000))


def test_a_half_life_of_zero_copies() -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, EmaConfig(half_life_kimg=0))
    with torch.no_grad():
        module.weight.normal_()
    ema.update(module, batch=8, images=8)
    assert torch.equal(ema.module.weight, module.weight)


def test_recalibration_gives_the_statistics_of_the_batches() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    batches = [(torch.randn(16, 3, 5, 5) * 3 + 1,) for _ in range(4)]
    before = torch.random.get_rng_state()
    recalibrate(module, batches)
    assert torch.equal(torch.random.get_rng_state(), before)
    outputs = torch.stack([module[0](batch) for (batch,) in batches])  # 4×16×4×5×5
    assert torch.allclose(module[1].running_mean, outputs.mean((0, 1, 3, 4)), atol=1e-5)
    assert torch.allclose(module[1].running_var, outputs.transpose(1, 2).flatten(2).var(2).mean(0), rtol=1e-4)
    assert module[1].momentum == 0.1
    assert not module.training
    first = module[1].running_mean.clone()
    recalibrate(module, batches)
    assert torch.equal(module[1].running_mean, first)


def test_recalibration_leaves_networks_without_batch_norm_alone() -> None:
    module = nn.Linear(2, 2)
    recalibrate(module, iter([(torch.full((1, 2), float("nan")),)]))
    assert module.training  # nothing was run, nothing was switched
