import inspect

import orjson
import pytest

from gateway import errors
from gateway.wire.errors import SHAPES, to_event, to_openai


def test_an_error_is_openais_object_and_says_whether_to_retry() -> None:
    status, headers, body = to_openai(errors.PromptTooLong(7000, 6000, route="support", param="messages"))
    assert status == 400
    assert headers == [("Content-Type", "application/json"), ("x-should-retry", "false")]
    assert orjson.loads(body) == {
        "error": {
            "message": "Input tokens exceed the configured limit of 6000 tokens of route 'support'. "
            "Your messages resulted in 7000 tokens: shorten them by at least 1000.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }


def test_overload_says_when_to_come_back() -> None:
    status, headers, _ = to_openai(errors.Overloaded())
    assert status == 503
    assert ("Retry-After", "1") in headers
    assert not any(name == "x-should-retry" for name, _ in headers)


def test_an_error_event_is_one_event_without_done() -> None:
    event = to_event(errors.UpstreamCut("gone"))
    assert event == b'data: {"error":{"message":"gone","type":"server_error","param":null,"code":"upstream_cut"}}\n\n'


@pytest.mark.parametrize(
    "error",
    [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.GatewayError)],
)
def test_every_error_has_a_shape(error: type[errors.GatewayError]) -> None:
    assert any(cls in SHAPES for cls in error.__mro__)
