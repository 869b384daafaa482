"""A module for Synapse that asks imgsmlr-server about media before the homeserver stores it."""

from synapse_imgsmlr.module import ImgsmlrSpamChecker

__all__ = ["ImgsmlrSpamChecker"]
