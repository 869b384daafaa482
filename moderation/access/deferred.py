"""What was asked for, and waits for somebody else."""

from __future__ import annotations

from gallery.shared.errors import Conflict


class Deferred(Conflict):
    """Nothing was changed; what was asked for can be stored, to be confirmed or refused."""

    def store(self) -> object:
        """Have it wait. A page that ends its transaction with the error stores it once more."""
        raise NotImplementedError
