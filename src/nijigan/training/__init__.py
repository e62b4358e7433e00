"""Training: the loop, its state, checkpoints and what a person sees of it."""

from nijigan.training.trainer import resume, train

__all__ = ["resume", "train"]
