"""Which requests the fast lane takes, and how it writes answers."""

import pytest
from multidict import CIMultiDict

from gateway.server.http1 import MAX_HEAD_BYTES, HeadReader, HeadWriter, ambiguity
from gateway.wire.endpoints import ENDPOINTS

PLAIN = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway:8080\r\nAuthorization: Bearer key\r\n"
    b"Content-Type: application/json\r\nX-Empty:\r\nX-Text: caf\xc3\xa9 \xff\r\nContent-Length: 523\r\n\r\n"
)


def read(head: bytes) -> object:
    return HeadReader(ENDPOINTS).read(head)


def test_a_plain_head_is_read_with_its_headers_as_sent() -> None:
    head = HeadReader(ENDPOINTS).read(PLAIN)
    assert head is not None
    assert head.endpoint.path == "/chat/completions"
    assert (head.length, head.keeps_alive) == (523, True)
    assert list(head.headers.items()) == [
        ("Host", "gateway:8080"),
        ("Authorization", "Bearer key"),
        ("Content-Type", "application/json"),
        ("X-Empty", ""),
        ("X-Text", "café \udcff"),
        ("Content-Length", "523"),
    ]
    assert head.headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_inference_endpoint_has_the_lane(endpoint: object) -> None:
    path = endpoint.path  # type: ignore[attr-defined]
    head = HeadReader(ENDPOINTS).read(PLAIN.replace(b"/chat/completions", path.encode()))
    assert head is not None
    assert head.endpoint is endpoint


def test_a_client_may_want_the_connection_closed() -> None:
    head = HeadReader(ENDPOINTS).read(PLAIN.replace(b"X-Empty:", b"Connection: Close"))
    assert head is not None
    assert not head.keeps_alive


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Origin: https://page.example",
        b"Connection: upgrade",
        b"Connection: keep-alive\r\nConnection: close",
        b"Content-Length: 523",
        b"Host: other",
        b"authorization: Bearer other",
        b"Content-type: text/plain",
        b"X-Text: ends in a space ",
        b"X-Folded: a\r\n b",
        b"X-Bare: a\nX-Line: b",
        b"X-Nul: \0",
        b"X-Space : b",
        b"no colon",
    ],
)
def test_everything_else_is_left_to_aiohttp(line: bytes) -> None:
    assert read(PLAIN.replace(b"X-Empty:", line)) is None


@pytest.mark.parametrize("length", [b"", b"+5", b"-5", b"5, 5", b"0x5", b"5 5", b"9" * 11])
def test_a_length_is_digits(length: bytes) -> None:
    assert read(PLAIN.replace(b"523", length)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/chat/completions HTTP/1.1",
        b"POST /v1/chat/completions HTTP/1.0",
        b"POST /v1/chat/completions?a=b HTTP/1.1",
        b"POST /v1/chat/completions/ HTTP/1.1",
        b"POST /v1/files HTTP/1.1",
    ],
)
def test_another_request_line_is_left_to_aiohttp(line: bytes) -> None:
    head = PLAIN.replace(b"POST /v1/chat/completions HTTP/1.1", line)
    assert read(head) is None
    assert not HeadReader(ENDPOINTS).may_begin_with(head[:-2])


def test_a_long_head_is_left_to_aiohttp() -> None:
    head = PLAIN.replace(b"X-Empty:", b"X-Long: " + b"a" * MAX_HEAD_BYTES)
    assert read(head) is None
    assert not HeadReader(ENDPOINTS).may_begin_with(head[:-2])


@pytest.mark.parametrize("cut", range(1, len(PLAIN) - 1))
def test_any_beginning_of_a_plain_head_may_go_on(cut: int) -> None:
    assert HeadReader(ENDPOINTS).may_begin_with(PLAIN[:cut])


@pytest.mark.parametrize("data", [b"P\n", b"POST /v1/c\r\n", b"POST /v1/chat/completions HTTP/1.1\n", b"GET", b"\r\n"])
def test_what_can_no_longer_become_one_is_known_early(data: bytes) -> None:
    assert not HeadReader(ENDPOINTS).may_begin_with(data)


def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    reader = HeadReader(ENDPOINTS)
    for n in range(2000):
        assert reader.read(PLAIN.replace(b"X-Empty", b"X-Empty-%d" % n)) is not None
    assert len(reader._names) <= 512


@pytest.mark.parametrize(
    ("headers", "needs_host", "is_ambiguous"),
    [
        ([("Host", "gateway")], True, False),
        ([("Host", "[::1]:8080")], True, False),
        ([("Host", "")], True, False),
        ([], True, True),
        ([], False, False),
        ([("Host", "a"), ("host", "a")], False, True),
        ([("Host", "a/b")], True, True),
        ([("Host", "user@gateway")], True, True),
        ([("Host", "a"), ("Authorization", "x"), ("authorization", "y")], True, True),
        ([("Host", "a"), ("Transfer-Encoding", "Chunked")], True, False),
        ([("Host", "a"), ("Transfer-Encoding", "gzip, chunked")], True, True),
        ([("Host", "a"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], True, True),
    ],
)
def test_ambiguity(headers: list[tuple[str, str]], needs_host: bool, is_ambiguous: bool) -> None:
    assert (ambiguity(CIMultiDict(headers), needs_host=needs_host) is not None) is is_ambiguous


# ------------------------------------------------------------------ answers


def test_the_head_of_a_whole_answer() -> None:
    head = HeadWriter().write(200, [("Content-Type", "application/json")], length=2, closes=False, now=1_800_000_000.9)
    assert head == (
        b"HTTP/1.1 200 OK\r\nServer: llm-gateway\r\nContent-Type: application/json\r\n"
        b"Date: Fri, 15 Jan 2027 08:00:00 GMT\r\nContent-Length: 2\r\n\r\n"
    )


def test_the_head_of_a_stream_that_is_the_last_of_its_connection() -> None:
    head = HeadWriter().write(200, [], length=None, closes=True, now=0.0)
    assert head.endswith(b"GMT\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(status: int) -> None:
    head = HeadWriter().write(status, [], length=0, closes=False, now=0.0)
    assert b"Content-Length" not in head
    assert b"Transfer-Encoding" not in head


def test_a_status_that_nobody_knows_is_written_without_a_phrase() -> None:
    assert HeadWriter().write(599, [], length=0, closes=False, now=0.0).startswith(b"HTTP/1.1 599 \r\n")


def test_the_date_follows_the_clock() -> None:
    writer = HeadWriter()
    first, second = (writer.write(200, [], length=0, closes=False, now=now) for now in (10.0, 11.0))
    assert b"00:00:10 GMT" in first
    assert b"00:00:11 GMT" in second


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_become_two(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        HeadWriter().write(200, [("x-gateway-model", value)], length=0, closes=False, now=0.0)
