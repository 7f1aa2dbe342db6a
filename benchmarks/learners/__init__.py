"""Learners beside each other: equal bases, demonstrations and environment steps. See plan.yaml and command.py."""
