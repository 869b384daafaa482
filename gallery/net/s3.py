"""Buckets of any storage that speaks S3: what is in them, reading it, and signed links to it.

Requests have the bucket in the path, which all such servers understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final
from urllib.parse import quote, unquote_plus
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from gallery.net.fetching import fetch, fetch_into
from gallery.net.s3_signing import SigningKey, signed_link
from gallery.net.transport import FetchFailed, FetchPolicy
from gallery.shared.errors import UserError

LISTING_BYTES: Final = 16 * 2**20
"""Most bytes of an answer that lists 1,000 keys of at most 1,024 bytes."""
_MD5: Final = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True)
class Bucket:
    """``endpoint``: the address of the storage, without a path."""

    endpoint: str
    name: str
    signing_key: SigningKey = field(repr=False)

    def link(self, method: str, key: str = "", query: Mapping[str, str] | None = None) -> str:
        """Return a link that lets its holder send one request, within a minute."""
        address = f"{self.endpoint}/{quote(self.name, safe='')}"
        if key:
            address += f"/{quote(key)}"
        return signed_link(method, address, self.signing_key, query=query)

    def objects(self, prefix: str, policy: FetchPolicy) -> Iterator[BucketObject]:
        """Yield the objects whose keys begin with ``prefix``, by key. Raises ``UserError``.

        Objects that stand for folders are passed over.
        """
        asked = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        more: dict[str, str] = {}
        while True:
            page = self._page({**asked, **more}, policy)
            decoded = unquote_plus if page.findtext("{*}EncodingType") == "url" else str
            for entry in page.findall("{*}Contents"):
                key = decoded(entry.findtext("{*}Key", ""))
                if not key.endswith("/"):
                    size = int(entry.findtext("{*}Size", "0"))
                    yield BucketObject(self, key, size, _md5(entry.findtext("{*}ETag", "")))
            token = page.findtext("{*}NextContinuationToken", "")
            if not token:
                return
            more = {"continuation-token": token}

    def _page(self, query: Mapping[str, str], policy: FetchPolicy) -> Element:
        policy = replace(policy.for_chosen_address(), max_bytes=LISTING_BYTES)
        try:
            page: Element = fromstring(fetch(self.link("GET", query=query), policy).data)
            if not page.tag.endswith("ListBucketResult"):
                raise ParseError("another document")
        except FetchFailed as error:
            said = _explained(error).message
            raise UserError(f"The bucket {self.name} cannot be listed. {said}") from error
        except (ParseError, DefusedXmlException) as error:
            raise UserError(
                f"The bucket {self.name} cannot be listed. {self.endpoint} did not answer as S3 "
                "does: check S3_ENDPOINT."
            ) from error
        return page


@dataclass(frozen=True)
class BucketObject:
    """``md5``: "" if the storage does not tell it, as of objects that were sent in parts."""

    bucket: Bucket
    key: str
    size: int
    md5: str

    @property
    def name(self) -> str:
        return f"s3://{self.bucket.name}/{self.key}"

    def read(self, policy: FetchPolicy) -> bytes:
        """Raises ``FetchFailed``."""
        try:
            return fetch(self._link(), policy.for_chosen_address()).data
        except FetchFailed as error:
            raise _explained(error) from error

    def read_into(self, body: BinaryIO, policy: FetchPolicy) -> None:
        """Raises ``FetchFailed``, even after part of the object."""
        try:
            fetch_into(body, self._link(), policy.for_chosen_address())
        except FetchFailed as error:
            raise _explained(error) from error

    def _link(self) -> str:
        if {".", ".."} & set(self.key.split("/")):
            message = "A key with the parts . or .. leads to another object: rename it."
            raise FetchFailed(message, code="fetch_refused")
        return self.bucket.link("GET", self.key)


def _md5(etag: str) -> str:
    """Return the MD5 that an ETag is if the object was sent at once and is stored as it is.

    Storage that encrypts has other ETags of this form: they are the MD5 of no picture.
    """
    found = _MD5.fullmatch(etag)
    return found[1] if found else ""


def _explained(error: FetchFailed) -> FetchFailed:
    """Say what an operator can do, where that is not what the sender of a link can do."""
    elsewhere = "the bucket may be in another region: set S3_REGION and S3_ENDPOINT"
    if error.code == "fetch_redirects":
        said = f"The storage names another address; {elsewhere}."
    elif error.code == "fetch_status":
        advice = {
            301: elsewhere,
            403: "check what S3_ACCESS_KEY may do, and S3_SECRET_KEY and S3_REGION",
            404: "check the name",
        }
        status = error.upstream_status
        said = f"The storage answered {status}; {advice.get(status, 'try again later')}."
    else:
        return error
    return FetchFailed(said, code=error.code, upstream_status=error.upstream_status)
