"""Training: the loop, its state, checkpoints and records."""

from nijigan.training.trainer import resume, train

__all__ = ["resume", "train"]
