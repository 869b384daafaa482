"""A client of imgsmlr-server: ``Client``, and ``AsyncClient`` with the same methods."""

from imgsmlr_client.asynchronous import AsyncClient
from imgsmlr_client.errors import ApiError, ImgsmlrError, NotReached
from imgsmlr_client.synchronous import Client

__all__ = ["ApiError", "AsyncClient", "Client", "ImgsmlrError", "NotReached"]
