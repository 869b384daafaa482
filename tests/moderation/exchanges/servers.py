"""Hash exchanges of our own: real servers that page, fail, stall, repeat and withdraw."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

STALL, CUT = "stall", "cut"


def pdq(number: int) -> str:
    """A hash that is far from those of other numbers."""
    return hashlib.sha256(str(number).encode()).hexdigest()


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """Answers by ``answer`` until the ``with`` block ends. ``faults``: a status, ``STALL`` or
    ``CUT`` for each of the next requests, None for none."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[int | str | None] = []
        self.release = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                link = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(link.query).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, link.path, query, headers, body)
                service.asked.append(asked)
                fault = service.faults.pop(0) if service.faults else None
                if fault == STALL:
                    service.release.wait(10)
                    return
                if isinstance(fault, int):
                    status, data = fault, b"no"
                else:
                    status, data = service.answer(asked)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", service.url + "/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if fault == CUT else data)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that hang up early are what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        raise NotImplementedError

    def __enter__(self) -> Any:
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class ThreatExchange(Service):
    """``updates``: what each request is answered from, ``page`` at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[dict[str, Any]] = []
        self.page = 2
        self.repeats = False
        self.reactions: list[tuple[str, str]] = []

    def list(
        self, number: int, value: str, kind: str = "HASH_PDQ", at: int = 1_700_000_000
    ) -> None:
        self.updates.append(
            {
                "id": str(number),
                "indicator": value,
                "type": kind,
                "last_updated": at,
                "should_delete": False,
                "descriptors": {
                    "data": [
                        {
                            "id": f"{number}00",
                            "owner": {"id": "7", "name": "Harbour Photos"},
                            "status": "MALICIOUS",
                            "tags": {"data": [{"text": "pilot"}]},
                        }
                    ]
                },
            }
        )

    def withdraw(self, *numbers: int, at: int = 1_800_000_000) -> None:
        for number in numbers:
            (known,) = [one for one in self.updates if one["id"] == str(number)]
            self.updates.remove(known)
            self.updates.append({"id": str(number), "should_delete": True, "last_updated": at})

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        if asked.headers.get("authorization") != "Bearer 123|secret-token":
            return 401, b"{}"
        if asked.path.endswith("/descriptors"):
            return 200, json.dumps({"data": [{"id": asked.path.split("/")[1] + "00"}]}).encode()
        if asked.method == "POST":
            ((name, values),) = parse_qs(asked.body.decode()).items()
            self.reactions.append((name, values[0]))
            return 200, b'{"success": true}'
        if asked.path != "/42/threat_updates/":
            return 404, b"{}"
        begin = int(asked.query.get("after", 0))
        fresh = [
            one for one in self.updates if one["last_updated"] >= int(asked.query["start_time"])
        ]
        found: dict[str, Any] = {"data": fresh[begin : begin + self.page]}
        if begin + self.page < len(fresh):
            after = begin if self.repeats and begin else begin + self.page
            # Its links name another host, and hold the token.
            found["paging"] = {
                "cursors": {"after": str(after)},
                "next": f"https://evil.example/?access_token=secret-token&after={after}",
            }
        return 200, json.dumps(found).encode()


class StopNCII(Service):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []
        self.feedback: list[dict[str, Any]] = []
        self.refuses: str = ""

    def list(self, value: str, at: int = 1_700_000_000, status: str = "Active") -> None:
        self.records = [one for one in self.records if one["hashValue"] != value]
        self.records.append(
            {
                "lastModtimestamp": at,
                "signalType": "ImagePDQ",
                "hashValue": value,
                "hashStatus": status,
                "caseNumbers": {"1": status},
                "CSPFeedbacks": [],
            }
        )

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        if asked.headers.get("ocp-apim-subscription-key") != "subscribed":
            return 401, b"{}"
        if asked.path == "/v1/SubmitFeedback" and asked.headers["x-functions-key"] == "f2":
            told = asked.json["hashFeedbacks"]
            if any(one["hashValue"] == self.refuses for one in told):
                return 400, b"{}"
            self.feedback += told
            return 200, b"{}"
        if asked.path != "/v1/FetchHashes" or asked.headers["x-functions-key"] != "f1":
            return 404, b"{}"
        begin = int(asked.query.get("nextPageToken", 0))
        since = int(asked.query["startTimestamp"])
        fresh = [one for one in self.records if one["lastModtimestamp"] >= since]
        more = begin + 1 < len(fresh)
        last = max((one["lastModtimestamp"] for one in fresh), default=since)
        answer = {
            "count": 1,
            "nextPageToken": str(begin + 1) if more else "",
            "nextSetTimestamp": last,
            "hasMoreRecords": more,
            "hashRecords": fresh[begin : begin + 1],
        }
        return 200, json.dumps(answer).encode()


class Ncmec(Service):
    """``entries``: XML of entries; one a page."""

    NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}
        self.told: list[tuple[str, str, bytes]] = []

    def list(self, entry: str, md5: str, pdq: str) -> None:
        prints = f"<fingerprints><md5>{md5}</md5><pdq>{pdq}</pdq></fingerprints>"
        self.entries[entry] = (
            f'<image><member id="7">Harbour</member><timestamp>2024-01-01T00:00:00Z</timestamp>'
            f"<id>{entry}</id><classification>A1</classification>{prints}</image>"
        )

    def withdraw(self, entry: str) -> None:
        self.entries[entry] = (
            f'<deletedImage><member id="7">Harbour</member>'
            f"<timestamp>2024-06-01T00:00:00Z</timestamp><id>{entry}</id></deletedImage>"
        )

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        pair = base64.b64encode(b"us:pw").decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return 401, b""
        if asked.path.endswith("/feedback"):
            self.told.append((asked.method, asked.path, asked.body))
            return 200, b""
        if asked.path != "/hashsharing/v2/entries":
            return 404, b""
        begin = int(asked.query.get("start", 0))
        entries = list(self.entries.values())
        paging = ""
        if begin + 1 < len(entries):
            link = f"/v2/entries?from=a&start={begin + 1}&size=1"
            paging = f"<paging><next>{escape(link)}</next></paging>"
        body = (
            f'<queryResult xmlns="{self.NAMESPACE}"><images count="1" '
            f'maxTimestamp="2024-03-01T00:00:00Z">{"".join(entries[begin : begin + 1])}</images>'
            f"{paging}</queryResult>"
        )
        return 200, body.encode()


class Shield(Service):
    """``known``: hash in hex → (classification, match type)."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, tuple[str, str | None]] = {}
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        pair = base64.b64encode(b"us:pw").decode()
        if asked.path != "/v1/pdq" or asked.headers.get("authorization") != f"Basic {pair}":
            return 401, b"{}"
        scanned = {}
        for text in asked.json["hashes"]:
            word, match = self.known.get(base64.b64decode(text).hex(), ("no-known-match", None))
            scanned[text] = {"classification": word, "match_type": match}
        return 200, json.dumps(self.change({"scanned_hashes": scanned})).encode()
