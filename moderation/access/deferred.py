"""What was asked for, and waits for somebody else."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gallery.shared.errors import Conflict


class Deferred(Conflict, ABC):
    """Nothing was changed; what was asked for can be stored, to be confirmed or refused."""

    @abstractmethod
    def store(self) -> object:
        """Have it wait. A page that ends its transaction with the error stores it once more."""
