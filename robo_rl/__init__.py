"""Residual reinforcement learning that makes a cloned robot policy reliable.

Importing it registers the bundled tasks with Gymnasium: `gymnasium.make("robo_rl/so101-insert_peg-v0")`.
"""

from robo_rl.adapt import register as _register

__version__ = "0.1.0"

_register.register()
