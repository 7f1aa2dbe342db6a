"""Residual reinforcement learning that makes a cloned robot policy reliable."""

__version__ = "0.1.0"
