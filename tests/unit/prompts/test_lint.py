import re
import time
from typing import Any

import pytest

from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.lint import Finding, Model, lint

CONTEXT = Variable(max_chars=4_000)
EXPENSIVE = "Answer based on: {{ context }} \n Question: {{ question }}"
BOTH = {"context": CONTEXT, "question": CONTEXT}


def words(text: str) -> int:
    """A tokenizer that is easy to follow: blanks and other things are tokens, a word takes the space before it."""
    return len(re.findall(r" ?\w+|[^\S\n]*\n|\s+|[^\w\s]+\n?", text))


def found(*contents: str, model: Model | None = None, **more: Any) -> list[Finding]:
    messages = tuple(Message(role="user", content=content) for content in contents)
    return lint(PromptDocument(name="x", messages=messages, **more), model or Model(words, 100_000, 2.5))


def rules(*contents: str, **more: Any) -> list[tuple[str, str, int]]:
    return [(one.rule, one.severity, one.line) for one in found(*contents, **more)]


def test_the_template_of_twelve_thousand_dollars_is_found() -> None:
    (finding,) = found(EXPENSIVE, variables=BOTH)
    assert (finding.rule, finding.severity, finding.index, finding.line) == ("space-by-variable", "error", 0, 1)
    assert finding.tokens == 1
    assert Model(words, None, 2.5).usd_per_million_requests(finding) == 2.5
    assert finding.fix == "one space, or one line break without spaces around it"


@pytest.mark.parametrize(
    "content",
    [
        "Answer based on: {{ context }}\nQuestion: {{ question }}",
        "{{ context }}\n\n{{ question }}",
        "Context: {{ context }}, {{ question }}.",
        "- {{ context }}\n  - {{ question }}",
        "```\n{{ context }} \n x  y\n```\n{{ question }}",
        "{% if context %}\n{{ context }}\n{% endif %}\n{{ question }}",
        "{% for c in context %}\n{{ c }}\n{% endfor %}\n{{ question }}",
        "{{ context }}{{ question }}",
    ],
)
def test_good_templates_are_left_alone(content: str) -> None:
    assert rules(content, variables=BOTH) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a \nb{{ context }}", [("trailing-whitespace", "error", 1)]),
        ("{{ context }}a \n", [("trailing-whitespace", "error", 1)]),
        ("{{ context }}\n\n", [("trailing-whitespace", "error", 1)]),
        ("a  b{{ context }}", [("doubled-whitespace", "warning", 1)]),
        ("a\n\n\n\nb{{ context }}", [("doubled-whitespace", "warning", 1)]),
        ("a\nb  {{ context }}", [("space-by-variable", "error", 2)]),
        ("{{ context }}\n\n\nb", [("space-by-variable", "error", 1)]),
        ("{{ context }}\n b", [("space-by-variable", "error", 1)]),
        (" {{ context }}", [("space-by-variable", "error", 1)]),
        ("a\u200bb{{ context }}", [("invisible-character", "warning", 1)]),
        ("{{ context }}{{ x.y() }}", [("template", "error", 1)]),
        ("a\n{{ contxt }}{{ context }}", [("undeclared-variable", "error", 2)]),
        ("a", [("unused-variable", "warning", 1)]),
        ("{% for x in range(3) %}{{ context }}{% endfor %}", [("repeated-context", "error", 1)]),
        ("{% for x in range(3) %}\n{% if x %}\n{{ context|upper }}\n{% endif %}{% endfor %}", [
            ("repeated-context", "error", 3)
        ]),
    ],
)  # fmt: skip
def test_a_slip_is_found_where_it_is(content: str, expected: list[tuple[str, str, int]]) -> None:
    assert rules(content, variables={"context": CONTEXT}) == expected


def test_a_short_variable_may_stand_in_a_loop() -> None:
    variables = {"name": Variable(max_chars=100), "n": Variable(type="number")}
    assert rules("{% for x in range(3) %}{{ name }}{{ n }}{{ x }}{% endfor %}", variables=variables) == []


@pytest.mark.parametrize(
    "secret",
    [
        "sk-" + "proj-" + "a" * 24,
        "sk-" + "ant-" + "a" * 24,
        "AKIA" + "A" * 16,
        "ghp_" + "a" * 36,
        "xoxb-" + "1" * 10,
        "AIza" + "a" * 35,
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "postgres://app:" + "hunter22@db/x",
        "password: " + "correcthorse42battery",
    ],
)
def test_a_secret_is_found_and_not_shown(secret: str) -> None:
    (finding,) = found(f"Use this:\n{secret}")
    assert (finding.rule, finding.severity, finding.line) == ("secret", "error", 2)
    assert secret not in repr(finding)
    (other,) = found("a", notes=f"Use {secret}")
    assert (other.rule, other.index) == ("secret", None)


def test_a_password_that_is_a_variable_is_none() -> None:
    assert rules("password: {{ password }}\ntoken: yes", variables={"password": CONTEXT}) == []


def test_what_is_over_budget_or_near_the_window_is_found() -> None:
    (over,) = found("one two three four", token_budget=3)
    assert (over.rule, over.severity, over.tokens) == ("over-budget", "error", 1)
    near = found("{{ context }}", model=Model(words, 1_200, None), variables={"context": CONTEXT})
    assert [(one.rule, one.severity) for one in near] == [("near-window", "warning")]
    assert "it may have 1,000 tokens; the model takes 1,200" in near[0].message
    small = Model(words, 1_200, None)
    assert found("{{ context }}", model=small, variables={"context": CONTEXT}, token_budget=900) == []


def test_parameters_and_defaults_are_looked_at() -> None:
    variables = {"n": Variable(type="number", default="canary")}
    findings = found("{{ n }}", parameters={"stream": True}, variables=variables)
    assert [one.rule for one in findings] == ["default", "parameter"]
    assert "canary" not in repr(findings)


@pytest.mark.parametrize(
    "hostile",
    [
        " " * 200_000 + "x",
        "a  " * 60_000,
        "\n \n \n" * 40_000,
        "{{ context }} \n " * 2_000,
        " " * 150_000 + "{{ context }}",
        "eyJ-" * 50_000,
        "token = " * 25_000,
        "```\n" * 50_000,
        "{" * 200_000,
        "{{" * 100_000,
        "{{ " + "a" * 190_000,
    ],
)
def test_hostile_text_is_looked_at_in_bounded_time(hostile: str) -> None:
    began = time.thread_time()
    found(hostile, variables={"context": CONTEXT})
    assert time.thread_time() - began < 5


def test_without_a_tokenizer_nothing_is_counted() -> None:
    (finding,) = found(EXPENSIVE, model=Model(), variables=BOTH, token_budget=1)
    assert (finding.rule, finding.tokens) == ("space-by-variable", 0)
