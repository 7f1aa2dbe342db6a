"""Shared by all tests: how to render is chosen before anything imports MuJoCo."""

from robo_rl.app.rendering import choose_backend

choose_backend()
