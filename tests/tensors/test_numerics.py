import subprocess
import sys

import pytest
import torch

from nijigan.tensors.numerics import fast_numerics, full_precision


def settings() -> tuple[str, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark


def test_training_is_fast_on_cuda_and_unchanged_elsewhere() -> None:
    before = settings()
    with fast_numerics("cuda"):
        assert settings() == ("high", True, True)
    with fast_numerics("cpu"):
        assert settings() == before
    assert settings() == before


@pytest.mark.parametrize("outer", ["cpu", "cuda"])
def test_full_precision_is_exact_within_anything(outer: str) -> None:
    """A product under autocast and TF32 is that of fp32, and what was set before comes back, after an error too."""
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    exact = a @ b
    before = settings()
    with fast_numerics(outer), torch.autocast("cpu", torch.bfloat16):
        around = settings()
        assert (a @ b).dtype is torch.bfloat16
        with full_precision("cpu"):
            assert settings()[:2] == ("highest", False)
            assert torch.equal(a @ b, exact)
        with pytest.raises(KeyError), full_precision("cpu"):
            raise KeyError
        assert settings() == around
        assert (a @ b).dtype is torch.bfloat16
    assert settings() == before


@pytest.mark.parametrize("switch", ["torch.backends", "torch.backends.cuda.matmul", "torch.backends.cudnn.conv"])
def test_the_newer_switches_of_a_caller_are_respected(switch: str) -> None:
    """In a process of its own: torch does not mix its older and newer switches."""
    code = f"""
import torch
from nijigan.tensors.numerics import fast_numerics, full_precision
{switch}.fp32_precision = "tf32"
before = {switch}.fp32_precision
with fast_numerics("cuda"), full_precision("cpu"):
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
assert {switch}.fp32_precision == before == "tf32"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
