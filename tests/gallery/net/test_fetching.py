"""URL → bytes over real sockets: what is refused, what times out, what comes back."""

from __future__ import annotations

import gzip
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery.net import posting, transport
from gallery.net.addresses import is_public
from gallery.net.fetching import FetchedFile, fetch
from gallery.net.transport import FetchFailed, FetchPolicy, Resolver, system_resolver
from tests.examples import fuzz
from tests.httpserver import (
    HttpServer,
    Reply,
    RequestHandler,
    endless_body,
    gzipped,
    hang,
    redirect,
    slow_body,
    slow_headers,
)

LOOPBACK = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
PUBLIC_ONLY = FetchPolicy(max_bytes=1_000_000, timeout=5)
LOCAL = FetchPolicy(max_bytes=1_000_000, timeout=5, allow_private=LOOPBACK)
IMPATIENT = FetchPolicy(max_bytes=1_000_000, timeout=0.4, allow_private=LOOPBACK)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer({"/a.png": b"picture"}) as running:
        yield running


@pytest.fixture(scope="module")
def web() -> Iterator[HttpServer]:
    """A server that nobody may reach."""
    with HttpServer({"/a.png": b"picture"}) as running:
        yield running


def refusal(url: str, policy: FetchPolicy = LOCAL, **options: object) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        fetch(url, policy, **options)  # type: ignore[arg-type]
    assert len(caught.value.message) > 20
    return caught.value


def never(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host} was looked up")


# --- addresses

SPECIAL = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fec0::1"],
    "link local": ["169.254.0.1", "fe80::1", "fe80::1%1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "AWS, GCP, Azure metadata": ["169.254.169.254", "fd00:ec2::254", "fd20:ce::254"],
    "ECS, Alibaba, Oracle metadata": ["169.254.170.2", "100.100.100.200", "192.0.0.192"],
    "Azure wire server": ["168.63.129.16"],
    "protocol assignments": ["192.0.0.1", "192.88.99.1", "2001::1", "2001:3::1", "2001:20::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "5f00::1", "100::1", "2001:10::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "NAT64, translated": [
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "::ffff:0:808:808",
    ],
    "6to4, Teredo": ["2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1"],
}
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"]


@pytest.mark.parametrize("address", [text for texts in SPECIAL.values() for text in texts])
def test_special_addresses_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    literal = f"[{address.replace('%', '%25')}]" if ":" in address else address
    by_address = refusal(f"http://{literal}/", PUBLIC_ONLY, resolve=never)
    by_name = refusal("http://a.example/", PUBLIC_ONLY, resolve=lambda host, port: [address])
    for error in (by_address, by_name):
        assert error.code == "fetch_refused"
        assert error.upstream_status == 500
        assert "FETCH_ALLOW_PRIVATE" in error.message
    assert address not in by_name.message


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "LOCALHOST", "127.0.0.1"],
)
def test_spellings_of_loopback_are_refused_by_the_real_resolver(
    host: str, server: HttpServer
) -> None:
    assert refusal(f"http://{host}:{server.port}/a.png", PUBLIC_ONLY).code == "fetch_refused"
    assert server.requests == []


SPELLINGS = [
    # Decimal, hexadecimal and octal numbers, whole and in parts, short and long.
    *("2130706433", "0x7f000001", "0X7F000001", "017700000001", "0x7f.1", "0177.1", "127.1"),
    *("127.0.1", "127.0.0x1", "127.0.0.01", "0177.0.0.1", "00177.0.0.01", "0x7f.0.0.0x1"),
    *("0x7f.0x0.0x0.0x1", "0177.0000.0000.0001", "127.000.000.001", "127.65535.1", "4294967297"),
    *("127.0.0.257", "0", "0.0", "0.0.0.0", "00000000000000000177.0.0.1", "0x00000000007f000001"),
    # A dot at the end, upper case, escapes.
    *("127.0.0.1.", "localhost", "LOCALHOST", "LocalHost", "127.0.0.1..", "localhost.."),
    "%6c%6fcalhost",
    *("127%2e0%2e0%2e1", "%31%32%37.0.0.1", "127.0.0.1%00", "127.0.0.1%20", "127.0.0.1%0d%0a"),
    # Digits, letters and dots of other scripts, which IDNA makes into ours.
    *("①②⑦.⓪.⓪.①", "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\u30020\u30021"),
    *("127\uff0e0\uff0e0\uff0e1", "\U0001d7cf27.0.0.1", "١٢٧.٠.٠.١", "१२७.०.०.१"),
    *("127\uff610\uff610\uff611", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3"),
    *("l\u00adocalhost", "loc\u200balhost", "\ufeff127.0.0.1", "\u2488.0.0.1"),
    # IPv6 in all its forms, also with an IPv4 address inside.
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::0.0.0.1]", "[::]", "[::ffff:127.0.0.1]"),
    *("[::FFFF:7F00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[::1%25lo]"),
    "[::1%lo]",
    *("[fe80::1%25eth0]", "[::ffff:7f00:0001]", "[0:0:0:0:0:FFFF:7F00:0001]", "[v1.127.0.0.1]"),
    # What the parts of an address may be mistaken for.
    *("127.0.0.1\\@8.8.8.8", "127.0.0.1#@8.8.8.8", "8.8.8.8@127.0.0.1"),
    *("127.0.0.1?.example", "127.0.0.1;.example", "[::1].example", "[::1", "127.0.0.1,8.8.8.8"),
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_of_the_loopback_leads_to_it(host: str, scheme: str, web: HttpServer) -> None:
    """By the real parser and the real resolver. Names that need a DNS server have none here."""
    for address in (f"{scheme}://{host}:{web.port}/a.png", f"{scheme}://{host}/a.png"):
        error = refusal(address, PUBLIC_ONLY, resolve=without_dns)
        assert error.code in ("fetch_refused", "fetch_unreachable"), error.message
    assert web.requests == []


def without_dns(host: str, port: int) -> Sequence[str]:
    numeric = re.fullmatch(r"[0-9a-fx.]+", host, re.IGNORECASE)
    if numeric or host.lower().rstrip(".") == "localhost":
        return system_resolver(host, port)
    raise socket.gaierror(-2, "Name or service not known")


RESOLVERS = {
    "private beside public": [["8.8.8.8", "10.0.0.1"]],
    "public beside private": [["192.168.0.1", "8.8.8.8"]],
    "loopback of IPv6 beside public": [["8.8.8.8", "::1"]],
    "an address with a zone": [["fe80::1%lo"]],
    "IPv4 in IPv6": [["::ffff:127.0.0.1"]],
    "NAT64 of the metadata address": [["64:ff9b::a9fe:a9fe"]],
    "many public and one private at the end": [["8.8.8.8"] * 60 + ["127.0.0.1"]],
    "nothing": [[]],
}


@pytest.mark.parametrize("answers", RESOLVERS.values(), ids=RESOLVERS)
def test_tricks_of_a_resolver(answers: list[list[str]], server: HttpServer) -> None:
    asked = iter(answers)
    error = refusal(
        f"http://a.example:{server.port}/a.png", PUBLIC_ONLY, resolve=lambda h, p: next(asked)
    )
    assert error.code in ("fetch_refused", "fetch_unreachable")
    assert server.requests == []


def test_the_number_of_redirects_is_a_limit_of_the_policy(server: HttpServer) -> None:
    server.routes |= {f"/{i}": redirect(f"/{i - 1}") for i in range(1, 7)} | {"/0": b"end"}
    for most in (0, 1, 5):
        policy = replace(LOCAL, max_redirects=most)
        assert fetch(f"{server.url}/{most}", policy).data == b"end"
        assert refusal(f"{server.url}/{most + 1}", policy).code == "fetch_redirects"


def test_one_bad_answer_among_good_ones_refuses_the_host() -> None:
    for answers in (["8.8.8.8", "127.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "::1"]):
        error = refusal("http://a.example/", PUBLIC_ONLY, resolve=lambda host, port, a=answers: a)
        assert error.code == "fetch_refused"


def test_allow_private_names_networks_not_everything() -> None:
    error = refusal("http://127.0.0.2/", LOCAL)
    assert error.code == "fetch_refused"
    assert refusal("http://[::ffff:127.0.0.1]/", LOCAL).code == "fetch_refused"


def test_odd_ports_are_for_allowed_networks_only(server: HttpServer) -> None:
    assert fetch(f"{server.url}/a.png", LOCAL).data == b"picture"
    error = refusal("http://8.8.8.8:8080/a.png", LOCAL)
    assert error.code == "fetch_refused"
    assert "8080" in error.message


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "//127.0.0.1/a.png",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.png",
        "gopher://127.0.0.1/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://",
        "http:///a.png",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:80:80/",
        "http://[::1/",
        "http://a b/",
        "http://a\r\nHost: b/",
        "http://user@127.0.0.1/",
        "http://user:password@127.0.0.1/",
        "http://\0/",
        "http://" + "\N{SNOWMAN}" * 70 + "/",
    ],
)
def test_other_urls_are_refused_without_a_look_up(url: str) -> None:
    assert refusal(url, resolve=never).code == "fetch_refused"


@fuzz(50)
@given(
    st.one_of(
        st.text(max_size=40),
        st.text(max_size=30).map("http://{}".format),
        st.text(max_size=30).map("https://a.example/{}".format),
        st.text(max_size=20).map("http://{}:80/?x#y".format),
    )
)
def test_any_text_as_url_raises_only_fetch_failed(url: str) -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        assert host.isascii()
        raise socket.gaierror(-2, "Name or service not known")

    refusal(url, PUBLIC_ONLY, resolve=unknown)


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example", "no-such-host.invalid"])
def test_unknown_hosts_are_unreachable(host: str) -> None:
    assert refusal(f"http://{host}/").code in ("fetch_unreachable", "fetch_refused")
    empty = refusal("http://a.example/", resolve=lambda host, port: [])
    assert empty.code == "fetch_unreachable"


def test_names_paths_and_fragments_in_normal_form(server: HttpServer) -> None:
    server.routes["/stra\N{LATIN SMALL LETTER SHARP S}e/1 2.png"] = b"found"
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    url = f"  HTTP://B\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.Example:{server.port}"
    got = fetch(
        f"{url}/stra\N{LATIN SMALL LETTER SHARP S}e/1 2.png?q=1#part", LOCAL, resolve=resolve
    )
    assert got.data == b"found"
    assert asked == ["xn--bcher-kva.example"]
    (request,) = server.requests
    assert request.path == "/stra%C3%9Fe/1%202.png?q=1"
    assert request.headers["Host"] == f"xn--bcher-kva.example:{server.port}"
    assert got.url == f"http://xn--bcher-kva.example:{server.port}{request.path}"


def test_ipv6_host() -> None:
    try:
        with HttpServer({"/a.png": b"picture"}, host="::1") as server:
            assert fetch(f"{server.url}/a.png", LOCAL).data == b"picture"
            assert server.requests[0].headers["Host"] == f"[::1]:{server.port}"
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


# --- what is sent


def test_request_carries_nothing_of_ours(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.routes["/start"] = Reply(
        status=302, headers={"Location": "/a.png", "Set-Cookie": "session=1; Path=/"}
    )
    policy = FetchPolicy(
        max_bytes=100, timeout=5, allow_private=LOOPBACK, user_agent="gallery-test/1"
    )
    assert fetch(f"{server.url}/start", policy).data == b"picture"
    for request in server.requests:
        assert request.method == "GET"
        assert request.headers == {
            "Host": f"127.0.0.1:{server.port}",
            "User-Agent": "gallery-test/1",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }


# --- DNS rebinding


def test_the_checked_address_is_the_one_connected_to(server: HttpServer) -> None:
    with HttpServer({"/a.png": b"inner secret"}, host="127.0.0.2", port=server.port) as inner:
        answers = [["127.0.0.1"], ["127.0.0.2"]]
        got = fetch(
            f"http://a.example:{server.port}/a.png", LOCAL, resolve=lambda h, p: answers.pop(0)
        )
        assert got.data == b"picture"
        assert len(answers) == 1
        assert inner.requests == []


def test_a_second_answer_after_a_redirect_is_checked_again(server: HttpServer) -> None:
    server.routes["/start"] = redirect("/a.png")
    with HttpServer({"/a.png": b"inner secret"}, host="127.0.0.2", port=server.port) as inner:
        answers = [["127.0.0.1"], ["127.0.0.2"]]
        error = refusal(
            f"http://a.example:{server.port}/start", resolve=lambda h, p: answers.pop(0)
        )
        assert error.code == "fetch_refused"
        assert inner.requests == []


def test_the_next_address_is_tried_when_one_does_not_answer(server: HttpServer) -> None:
    policy = FetchPolicy(
        max_bytes=100, timeout=5, allow_private=(ip_network("127.0.0.0/8"), *LOOPBACK)
    )
    got = fetch(
        f"http://a.example:{server.port}/a.png",
        policy,
        resolve=lambda h, p: ["::1", "127.0.0.3", "127.0.0.1"],
    )
    assert got.data == b"picture"


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: HttpServer, status: int) -> None:
    server.routes["/start"] = redirect("a.png#top", status)
    assert fetch(f"{server.url}/start", LOCAL) == FetchedFile(b"picture", f"{server.url}/a.png")


def test_redirect_in_raw_utf8(server: HttpServer) -> None:
    name = "/\N{LATIN SMALL LETTER A WITH DIAERESIS}.png"
    server.routes |= {"/start": redirect(name.encode().decode("latin-1")), name: b"found"}
    assert fetch(f"{server.url}/start", LOCAL).data == b"found"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]:{port}/a.png",
        "file:///etc/passwd",
        "//user:secret@127.0.0.1:{port}/a.png",
        "http://8.8.8.8:22/",
        "http://[::1",
    ],
)
def test_redirects_are_checked_like_the_first_address(server: HttpServer, target: str) -> None:
    server.routes["/start"] = redirect(target.format(port=server.port))
    assert refusal(f"{server.url}/start").code == "fetch_refused"
    assert len(server.requests) == 1


def test_three_redirects_and_no_more(server: HttpServer) -> None:
    server.routes |= {f"/{i}": redirect(f"/{i - 1}") for i in range(1, 5)} | {"/0": b"end"}
    assert fetch(f"{server.url}/3", LOCAL).data == b"end"
    assert refusal(f"{server.url}/4").code == "fetch_redirects"
    server.routes["/loop"] = redirect("/loop")
    error = refusal(f"{server.url}/loop")
    assert (error.code, error.upstream_status) == ("fetch_redirects", 500)


def test_redirect_without_a_target_is_a_status(server: HttpServer) -> None:
    server.routes["/start"] = Reply(status=302)
    error = refusal(f"{server.url}/start")
    assert (error.code, error.upstream_status) == ("fetch_status", 302)


# --- answers


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 410, 429, 500, 503])
def test_other_statuses_are_reported(server: HttpServer, status: int) -> None:
    server.routes["/x"] = Reply(b"" if status == 304 else b"why", status)
    error = refusal(f"{server.url}/x")
    assert (error.code, error.upstream_status) == ("fetch_status", status)
    assert str(status) in error.message


def test_body_sizes_up_to_the_limit(server: HttpServer) -> None:
    def chunked(handler: RequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"".join(b"%x\r\n%s\r\n" % (50, b"z" * 50) for _ in range(40)))
        handler.wfile.write(b"0\r\n\r\n")

    server.protocol = "HTTP/1.1"
    server.routes |= {"/2000": b"z" * 2000, "/chunked": chunked, "/0": b""}
    for limit, fits in ((2000, True), (1999, False)):
        policy = FetchPolicy(max_bytes=limit, timeout=5, allow_private=LOOPBACK)
        for path in ("/2000", "/chunked"):
            if fits:
                assert fetch(server.url + path, policy).data == b"z" * 2000
            else:
                assert refusal(server.url + path, policy).code == "fetch_too_large"
    assert fetch(f"{server.url}/0", LOCAL).data == b""


def test_declared_length_beyond_the_limit_is_refused_at_once(server: HttpServer) -> None:
    def boast(handler: RequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        handler.wfile.flush()
        time.sleep(3)

    server.routes["/x"] = boast
    started = time.monotonic()
    assert refusal(f"{server.url}/x").code == "fetch_too_large"
    assert time.monotonic() - started < 2


def test_endless_body_is_cut_off(server: HttpServer) -> None:
    server.routes["/x"] = endless_body
    error = refusal(f"{server.url}/x")
    assert (error.code, error.upstream_status) == ("fetch_too_large", 500)


def test_body_shorter_than_declared_is_an_error(server: HttpServer) -> None:
    server.routes["/x"] = Reply(b"half", headers={"Content-Length": "8"})
    assert refusal(f"{server.url}/x").code == "fetch_unreachable"


def test_body_longer_than_declared_ends_where_declared(server: HttpServer) -> None:
    server.routes["/x"] = Reply(b"picture and more", headers={"Content-Length": "7"})
    assert fetch(f"{server.url}/x", LOCAL).data == b"picture"


def test_gzip_is_undone_although_it_was_not_asked_for(server: HttpServer) -> None:
    server.routes["/x"] = gzipped(b"picture" * 1000)
    assert fetch(f"{server.url}/x", LOCAL).data == b"picture" * 1000


def test_gzip_bombs_stop_at_the_decoded_limit(server: HttpServer) -> None:
    bomb = gzip.compress(bytes(300_000_000), 1)
    assert len(bomb) < 2_000_000
    twice = gzip.compress(bomb, 9)
    server.routes["/once"] = Reply(bomb, headers={"Content-Encoding": "gzip"})
    server.routes["/twice"] = Reply(twice, headers={"Content-Encoding": "gzip, gzip"})
    policy = FetchPolicy(max_bytes=2_000_000, timeout=10, allow_private=LOOPBACK)
    for path in ("/once", "/twice"):
        started = time.process_time()
        assert refusal(server.url + path, policy).code == "fetch_too_large"
        # All of it would take far longer to unpack and to send.
        assert time.process_time() - started < 1


def test_damaged_gzip_is_an_error(server: HttpServer) -> None:
    server.routes["/x"] = Reply(b"not gzip at all", headers={"Content-Encoding": "gzip"})
    assert refusal(f"{server.url}/x").code == "fetch_unreachable"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"this is not HTTP\r\n\r\n",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_broken_http_is_unreachable(server: HttpServer, answer: bytes) -> None:
    def handle(handler: RequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    server.routes["/x"] = handle
    error = refusal(f"{server.url}/x")
    assert (error.code, error.upstream_status) == ("fetch_unreachable", 500)


def test_closed_port_is_unreachable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert refusal(f"http://127.0.0.1:{port}/").code == "fetch_unreachable"


# --- the deadline


@pytest.mark.parametrize(
    "route", [hang(3), slow_headers(0.05), slow_body(0.05)], ids=["silent", "headers", "body"]
)
def test_one_deadline_covers_everything(server: HttpServer, route: Resolver) -> None:
    server.routes["/x"] = route  # type: ignore[assignment]
    started = time.monotonic()
    error = refusal(f"{server.url}/x", IMPATIENT)
    assert time.monotonic() - started < 1.2
    assert (error.code, error.upstream_status) == ("fetch_timeout", 500)
    assert "0.4 seconds" in error.message


def test_the_deadline_is_not_renewed_by_redirects(server: HttpServer) -> None:
    def wait_and_redirect(handler: RequestHandler) -> None:
        time.sleep(0.25)
        handler.reply(redirect("/x"))

    server.routes["/x"] = wait_and_redirect
    started = time.monotonic()
    assert refusal(f"{server.url}/x", IMPATIENT).code == "fetch_timeout"
    assert time.monotonic() - started < 1


def test_slow_name_look_up_counts(server: HttpServer) -> None:
    done = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        done.wait(5)
        return ["127.0.0.1"]

    started = time.monotonic()
    error = refusal(f"http://a.example:{server.port}/a.png", IMPATIENT, resolve=slow)
    done.set()
    assert time.monotonic() - started < 1
    assert error.code == "fetch_timeout"


def test_tls_handshake_that_never_answers_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert refusal(url, IMPATIENT).code == "fetch_timeout"
        assert time.monotonic() - started < 1


# --- TLS


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A certificate for pictures.example that this process trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=pictures.example"),
            *("-addext", "subjectAltName=DNS:pictures.example"),
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    yield context
    transport._tls.cache_clear()


def test_certificate_is_checked_against_the_name_not_the_address(trusted: ssl.SSLContext) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    names: list[str | None] = []
    trusted.sni_callback = lambda sock, name, context: names.append(name)
    with HttpServer({"/a.png": b"picture" * 20_000}, tls=trusted) as server:
        good = f"https://pictures.example:{server.port}/a.png"
        assert fetch(good, LOCAL, resolve=resolve).data == b"picture" * 20_000
        assert names == ["pictures.example"]
        other = refusal(f"https://other.example:{server.port}/a.png", resolve=resolve)
        assert other.code == "fetch_unreachable"
        assert "certificate" in other.message.lower()
        assert refusal(f"https://127.0.0.1:{server.port}/a.png").code == "fetch_unreachable"


def test_untrusted_certificate_is_refused(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with HttpServer({"/a.png": b"picture"}, tls=trusted) as server:
        error = refusal(
            f"https://pictures.example:{server.port}/a.png", resolve=lambda h, p: ["127.0.0.1"]
        )
        assert error.code == "fetch_unreachable"
        assert "certificate" in error.message.lower()
        assert server.requests == []


# --- many at once


def test_threads_do_not_disturb_each_other(server: HttpServer) -> None:
    server.routes |= {f"/{i}": bytes([i]) * 10_000 for i in range(32)}
    results: dict[int, bytes] = {}

    def run(number: int) -> None:
        results[number] = fetch(f"{server.url}/{number}", LOCAL).data

    threads = [threading.Thread(target=run, args=(i,)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: bytes([i]) * 10_000 for i in range(32)}


def test_no_socket_is_left_open(server: HttpServer) -> None:
    server.routes |= {"/bad": Reply(status=404), "/endless": endless_body}
    paths = ["/a.png", "/bad", "/endless"]

    def sockets() -> int:
        links = [
            entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
        ]
        return sum(str(link).startswith("socket:") for link in links)

    def fetch_all() -> None:
        for path in paths:
            try:
                fetch(server.url + path, LOCAL)
            except FetchFailed:
                continue

    fetch_all()
    before = sockets()
    for _ in range(10):
        fetch_all()
    deadline = time.monotonic() + 2
    while sockets() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sockets() <= before


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize(
    "interim", [[100], [102], [103], [100, 102, 103, 103], [199]], ids=lambda codes: str(codes)
)
def test_interim_answers_are_passed_over(protocol: str, interim: list[int]) -> None:
    def hints(handler: RequestHandler) -> None:
        for code in interim:
            handler.wfile.write(f"HTTP/1.1 {code} Wait\r\nLink: </a.css>\r\n\r\n".encode())
        handler.reply(Reply(b"the file"))

    with HttpServer({"/a": hints}) as server:
        server.protocol = protocol
        assert fetch(server.url + "/a", LOCAL).data == b"the file"
        assert posting.post(server.url + "/a", b"{}", {}, LOCAL) == 200


@pytest.mark.parametrize("code", [101, 103])
def test_nothing_but_interim_answers_is_no_answer(code: int) -> None:
    def endless(handler: RequestHandler) -> None:
        for _ in range(1000):
            handler.wfile.write(f"HTTP/1.1 {code} Wait\r\n\r\n".encode())

    with HttpServer({"/a": endless}) as server, pytest.raises(FetchFailed):
        fetch(server.url + "/a", LOCAL)


def test_a_file_that_is_known_is_asked_for_by_its_state() -> None:
    def handle(handler: RequestHandler) -> None:
        known = handler.headers.get("If-None-Match") == '"one"'
        headers = {"ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        handler.reply(Reply(b"" if known else b"file", 304 if known else 200, headers))

    with HttpServer({"/a": handle}) as server:
        found = fetch(server.url + "/a", LOCAL)
        assert (found.data, found.etag) == (b"file", '"one"')
        assert found.last_modified == "Mon, 01 Jan 2024 00:00:00 GMT"
        with pytest.raises(FetchFailed) as refused:
            fetch(server.url + "/a", LOCAL, etag=found.etag)
        assert refused.value.upstream_status == 304
