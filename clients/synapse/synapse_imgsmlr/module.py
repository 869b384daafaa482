"""The callbacks: media is checked when it is stored, and the media of events before they pass."""

from __future__ import annotations

import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

import treq
from synapse.module_api import (
    NOT_SPAM,
    EventBase,
    ModuleApi,
    make_deferred_yieldable,
    run_in_background,
)
from synapse.module_api.errors import Codes
from twisted.internet import reactor
from twisted.web.http_headers import Headers

from synapse_imgsmlr.config import Config
from synapse_imgsmlr.events import media_of
from synapse_imgsmlr.media_types import is_media

logger = logging.getLogger(__name__)

Decision = Literal["NOT_SPAM"] | Codes
REMEMBERED = 10_000
"""Links of events whose media was accepted."""


class NotCompared(Exception):
    """The message says why."""


class ImgsmlrSpamChecker:
    def __init__(self, config: Config, api: ModuleApi) -> None:
        self._config = config
        self._api = api
        self._accepted: OrderedDict[tuple[str, str], None] = OrderedDict()
        api.register_spam_checker_callbacks(
            check_media_file_for_spam=self.check_media,
            check_event_for_spam=self.check_event if config.token else None,
        )

    @staticmethod
    def parse_config(config: dict[str, Any]) -> Config:
        return Config.parse(config)

    async def check_media(self, file_wrapper: Any, file_info: Any) -> Decision:
        """Check what is about to be stored: uploads, media of other servers, previews of links.

        Thumbnails are made of what was checked already.
        """
        if file_info.thumbnail is not None:
            return NOT_SPAM
        parts: list[bytes] = []
        await file_wrapper.write_chunks_to(parts.append)
        of = f"{file_info.server_name or 'this server'}/{file_info.file_id}"
        return await self._decide(b"".join(parts), of)

    async def check_event(self, event: EventBase) -> Decision:
        """Check the media that an event points to, once. The homeserver fetches it if need be."""
        for link in media_of(event.content):
            if link in self._accepted:
                self._accepted.move_to_end(link)
                continue
            try:
                data = await self._media(*link)
            except NotCompared as error:
                decision = self._without_comparison("/".join(link), error)
            else:
                decision = await self._decide(data, "/".join(link))
                if decision == NOT_SPAM:
                    self._remember(link)
            if decision != NOT_SPAM:
                return decision
        return NOT_SPAM

    async def _decide(self, data: bytes, of: str) -> Decision:
        if not data:
            return NOT_SPAM
        try:
            verdict = await self._verdict(data)
        except NotCompared as error:
            return self._without_comparison(of, error)
        # That a document cannot be looked into is no reason to refuse it.
        if verdict not in self._config.refuses or (verdict == "review" and not is_media(data)):
            return NOT_SPAM
        logger.info("Refused media %s: %s", of, verdict)
        return Codes.FORBIDDEN

    def _without_comparison(self, of: str, error: NotCompared) -> Decision:
        outcome = "accepted" if self._config.open else "refused"
        logger.warning("Media %s was not compared, so it is %s: %s", of, outcome, error)
        return NOT_SPAM if self._config.open else Codes.FORBIDDEN

    def _remember(self, link: tuple[str, str]) -> None:
        self._accepted[link] = None
        if len(self._accepted) > REMEMBERED:
            self._accepted.popitem(last=False)

    async def _verdict(self, data: bytes) -> str:
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if self._config.key:
            headers["Authorization"] = f"Bearer {self._config.key}"
        address = f"{self._config.url}/api/v1/moderation/check/"
        answer = await self._request("POST", address, headers, body)
        try:
            return str(json.loads(answer)["verdict"])
        except (ValueError, TypeError, KeyError):
            raise NotCompared(f"{self._config.url} gave no verdict") from None

    async def _media(self, server: str, media_id: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._config.token}"}
        base = f"{self._config.homeserver}/_matrix/client/v1/media/download"
        return await self._request("GET", f"{base}/{server}/{media_id}", headers, None)

    async def _request(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        """Return the body of a 200. Raises ``NotCompared``."""
        waiting = run_in_background(self._exchange, method, address, headers, body)
        waiting.addTimeout(self._config.timeout, reactor)
        try:
            status, answer = await make_deferred_yieldable(waiting)
        except Exception as error:
            raise NotCompared(f"{address}: {type(error).__name__} {error}") from error
        if status != 200:
            raise NotCompared(f"{address} answered {status}: {answer[:300]!r}")
        return bytes(answer)

    async def _exchange(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        raw = Headers({name: [value] for name, value in headers.items()})
        response = await self._api.http_client.request(method, address, data=body, headers=raw)
        return response.code, await make_deferred_yieldable(treq.content(response))
