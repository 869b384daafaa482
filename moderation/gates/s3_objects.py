"""Objects of the storage in front of which the S3 gate is: reading, tagging and deleting them.

The settings name the storage and its buckets. Who sends an event chooses one of these buckets, and
the key.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from gallery.items import conf
from gallery.net.fetching import fetch
from gallery.net.posting import post
from gallery.net.transport import FetchFailed, FetchPolicy
from gallery.shared.errors import Unavailable

TAG: Final = "imgsmlr"
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


class Gone(Exception):
    """The object does not exist any more."""


@dataclass(frozen=True)
class StoredObject:
    """``version``: "" in a bucket without versions."""

    bucket: str
    key: str
    version: str = ""

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def read(self) -> bytes:
        """Raises ``Gone`` and ``FetchFailed``."""
        return self._fetch({})

    def tag(self, value: str) -> None:
        """Set the tag ``TAG``, and keep the object's other tags. Raises ``Gone`` and
        ``Unavailable``."""
        try:
            tags = _tags(self._fetch({"tagging": ""}))
        except FetchFailed as error:
            raise Unavailable(f"The tags of {self.name} could not be read: {error}") from error
        if tags.get(TAG) != value:
            self._send("PUT", {"tagging": ""}, _tagging({**tags, TAG: value}))

    def delete(self) -> None:
        """Raises ``Unavailable``."""
        self._send("DELETE", {}, b"")

    def _fetch(self, query: dict[str, str]) -> bytes:
        try:
            return fetch(self._link("GET", query), _policy()).data
        except FetchFailed as error:
            if error.upstream_status == 404:
                raise Gone from error
            raise

    def _send(self, method: str, query: dict[str, str], body: bytes) -> None:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        headers = {"Content-MD5": b64encode(digest).decode(), "Content-Type": "application/xml"}
        try:
            status = post(self._link(method, query), body, headers, _policy(), method=method)
        except FetchFailed as error:
            raise Unavailable(f"{self.name} could not be changed: {error}") from error
        if status == 404:
            raise Gone
        if not 200 <= status < 300:
            raise Unavailable(
                f"{self.name} could not be changed: the storage answered {status} to {method}. "
                "Check what S3_ACCESS_KEY may do."
            )

    def _link(self, method: str, query: dict[str, str]) -> str:
        if self.version:
            query = {**query, "versionId": self.version}
        return conf.s3_bucket(self.bucket).link(method, self.key, query)


def _policy() -> FetchPolicy:
    return conf.fetch_policy().for_chosen_address()


def _tags(data: bytes) -> dict[str, str]:
    try:
        tags = fromstring(data).findall(".//{*}Tag")
    except (ParseError, DefusedXmlException) as error:
        raise Unavailable("The storage answered no XML when it was asked for tags.") from error
    return {tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "") for tag in tags}


def _tagging(tags: dict[str, str]) -> bytes:
    root = Element("Tagging", xmlns=NAMESPACE)
    tag_set = SubElement(root, "TagSet")
    for name, value in tags.items():
        tag = SubElement(tag_set, "Tag")
        SubElement(tag, "Key").text = name
        SubElement(tag, "Value").text = value
    return bytes(tostring(root))
