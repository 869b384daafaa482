"""The client for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from imgsmlr_client import calls
from imgsmlr_client.answers import (
    Check,
    Image,
    ImageSearch,
    Notice,
    Statement,
    Video,
    VideoSearch,
)
from imgsmlr_client.calls import Call, File
from imgsmlr_client.errors import ApiError
from imgsmlr_client.retries import Attempts, answer_of

Answer = TypeVar("Answer")


class Client:
    """Sends requests to one service, one after the other or from several threads.

    ``url``: of the service. ``key``: an API key. ``timeout``: seconds that one attempt may wait for
    the network. ``patience``: seconds that waiting between attempts may take in all; 0 sends
    everything once. Methods raise ``ApiError`` for refusals, ``NotReached`` without an answer.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, patience: float = 60.0
    ) -> None:
        self._patience = patience
        self._http = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        file: File | None = None,
    ) -> Any:
        """Send any request of the API: ``request("GET", "status/")``. Return its JSON.

        Only GET is sent again after an answer was lost.
        """
        given: Call[Any] = Call(
            method, path, body or {}, query or {}, file=file, repeatable=method == "GET"
        )
        return self._send(given)

    def add_image(
        self,
        file: File | None = None,
        *,
        url: str | None = None,
        data_id: str | None = None,
        remark: str | None = None,
        uploader: str | None = None,
        meta: Mapping[str, Any] | None = None,
        wait: float = 0.0,
    ) -> Image:
        """Add a picture by file or link. ``wait``: up to 60 s, until it can be found.

        Raise ``ApiError`` with the code ``exists`` if the same bytes were there before.
        """
        fields = {"data_id": data_id, "remark": remark, "uploader": uploader, "meta": meta}
        return self._send(calls.add_image(file, url, wait, fields))

    def image(self, image_id: int) -> Image:
        return self._send(calls.image(image_id))

    def delete_image(self, image_id: int) -> None:
        self._send(calls.delete_image(image_id))

    def search_images(
        self,
        file: File | None = None,
        *,
        url: str | None = None,
        image_id: int | None = None,
        text: str | None = None,
        match_type: str | None = None,
        threshold: float | None = None,
        limit: int | None = None,
    ) -> ImageSearch:
        """Find images by a file, a link, a stored image or words: give one of them."""
        given = {"url": url, "id": image_id, "text": text}
        fields = {"match_type": match_type, "threshold": threshold, "limit": limit}
        return self._send(calls.search_images(file, given, fields))

    def add_video(
        self,
        file: File | None = None,
        *,
        url: str | None = None,
        data_id: str | None = None,
        remark: str | None = None,
        uploader: str | None = None,
        meta: Mapping[str, Any] | None = None,
        wait: float = 0.0,
    ) -> Video:
        """Add a video, as ``add_image`` does."""
        fields = {"data_id": data_id, "remark": remark, "uploader": uploader, "meta": meta}
        return self._send(calls.add_video(file, url, wait, fields))

    def video(self, video_id: int) -> Video:
        return self._send(calls.video(video_id))

    def search_videos(
        self, file: File | None = None, *, url: str | None = None, limit: int | None = None
    ) -> VideoSearch:
        """Find videos and moments by a screenshot, an animation or a clip."""
        return self._send(calls.search_videos(file, url, limit))

    def check(
        self,
        file: File | None = None,
        *,
        url: str | None = None,
        hash: str | None = None,
        hash_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Check:
        """Ask whether a file, a link or a hash is on a banned list. Nothing is added.

        ``idempotency_key``: your own name for this check. Sent again within a day it gets the same
        answer and opens no second case. Without one, each call has a key of its own.
        """
        given = {"url": url, "hash": hash, "hash_type": hash_type}
        return self._send(calls.check(file, given, idempotency_key))

    def statement(self, case_id: int) -> Statement:
        """Return why the upload of a case was restricted, and where its uploader may appeal."""
        return self._send(calls.statement(case_id))

    def send_notice(
        self,
        file: File | None = None,
        *,
        reason: str,
        statement: str,
        name: str,
        email: str,
        address: str | None = None,
    ) -> Notice:
        """Hand in a person's notice that a picture must not be there."""
        fields = {
            "reason": reason,
            "statement": statement,
            "name": name,
            "email": email,
            "address": address,
        }
        return self._send(calls.send_notice(file, fields))

    def notice(self, receipt: str) -> Notice:
        return self._send(calls.notice(receipt))

    def _send(self, call: Call[Answer]) -> Answer:
        attempts = Attempts(call, self._patience)
        while True:
            try:
                with call.content() as content:
                    response = self._http.request(
                        call.method,
                        call.path,
                        params=dict(call.query),
                        headers=dict(call.headers),
                        **content,
                    )
            except httpx2.TransportError as error:
                time.sleep(attempts.after_error(error))
                continue
            wait = attempts.after_answer(response)
            if wait is not None:
                time.sleep(wait)
                continue
            try:
                answer: Answer = answer_of(response)
            except ApiError as error:
                stored = attempts.stored(error)
                if stored is None:
                    raise
                answer = self._send(stored)
            return answer
