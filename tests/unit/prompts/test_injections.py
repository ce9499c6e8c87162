"""What a template may not do is refused, and in bounded time; what a variable holds is never a template."""

import time

import pytest

from gateway.prompts.data import Untrusted
from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.render import compile_document
from gateway.prompts.rendered import Rendered, RenderFailed, TemplateRefused
from gateway.prompts.variables import checked
from tests.unit.prompts.payloads import BOMBS, INJECTIONS

CPU_S = 1.0
"""Some ten times what the worst of them takes, reading the template included. CPU time: others may be busy."""
DATA = {
    "text": "some text",
    "items": ["a", "b"],
    "many": [f"{n:05}" for n in range(2_000)],
    "table": {"a": {"b": [1, 2, 3]}},
    "rows": [{"x": 1}] * 2_000,
    "big": "a" * 100_000,
    "foreign": Untrusted("a" * 50_000),
    "short": "a" * 2_400,
    "sought": "a" * 600 + "b" + "a" * 600,
}


def render(source: str) -> tuple[Rendered, ...]:
    document = PromptDocument(name="x", messages=(Message(role="user", content=source),))
    return compile_document(document).render(DATA)


@pytest.mark.parametrize("source", INJECTIONS)
def test_an_injection_is_refused(source: str) -> None:
    began = time.thread_time()
    with pytest.raises((TemplateRefused, RenderFailed)) as refused:
        render(source)
    assert time.thread_time() - began < CPU_S
    assert "some text" not in str(refused.value)
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:60])
def test_a_bomb_does_not_go_off(source: str) -> None:
    began = time.thread_time()
    with pytest.raises((TemplateRefused, RenderFailed)):
        render(source)
    assert time.thread_time() - began < CPU_S


@pytest.mark.parametrize("payload", [*INJECTIONS, *BOMBS[:20]])
def test_a_payload_in_a_variable_is_text(payload: str) -> None:
    document = PromptDocument(
        name="x", messages=(Message(role="user", content="<{{ q }}>"),), variables={"q": Variable()}
    )
    (message,) = compile_document(document).render(checked(document, {"q": payload}))
    assert message.pieces == (f"<{payload}>",)
