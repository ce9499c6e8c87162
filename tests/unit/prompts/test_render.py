from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompts.data import Attachment, fenced, untrusted
from gateway.prompts.document import Message, PromptDocument, Variable
from gateway.prompts.render import compile_document
from gateway.prompts.rendered import Rendered, RenderFailed, TemplateRefused, ends_in_blanks, trimmed
from gateway.prompts.variables import checked

PHOTO = Attachment("photo", {"type": "input_image", "image_url": "https://example.com/a.png"})


def document(*contents: str, **more: Any) -> PromptDocument:
    return PromptDocument(name="x", messages=tuple(Message(role="user", content=one) for one in contents), **more)


def text_of(source: str, **values: Any) -> str:
    (message,) = compile_document(document(source)).render(values)
    return message.text


# ------------------------------------------------------------------ what templates say


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {{name}}, {{ name }}!", "Dear Ann, Ann!"),
        ("no braces", "no braces"),
        ("{% raw %}{{name}}{% endraw %}", "{{name}}"),
        ("{# a remark #}x", "x"),
        ("{{ n + 1 }} {{ n / 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ -n }}", "4 1.5 3 3 -3"),
        ("{{ name ~ n ~ flag }}", "Ann3true"),
        ("{{ name + '!' }} {{ docs + [1] }}", 'Ann! [{"t":"a","ok":true},{"t":"b","ok":false},1]'),
        ("{{ nothing }} {{ flag }} {{ person }}", 'null true {"name":"Bo","tags":["x","y"]}'),
        ("{{ person.name }} {{ person['name'] }} {{ person.tags[0] }} {{ person.tags[-1] }}", "Bo Bo x y"),
        ("{{ name[0] }} {{ name[1:] }} {{ name[::-1] }}", "A nn nnA"),
        ("{% if n > 2 and not flag %}a{% elif n == 3 %}b{% else %}c{% endif %}", "b"),
        ("{{ 'yes' if 'x' in person.tags else 'no' }}", "yes"),
        ("{% for d in docs if d.ok %}{{ loop.index }}/{{ loop.length }} {{ d.t }}{% else %}-{% endfor %}", "1/1 a"),
        ("{% for k, v in person|items %}{{ k }}:{{ v|tojson }};{% endfor %}", 'name:"Bo";tags:["x","y"];'),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% set who = name|upper %}{{ who }}", "ANN"),
        ("{{ absent|default('?') }} {{ nothing|d('!') }}", "? !"),
        ("{{ docs|map(attribute='t')|join(', ') }}", "a, b"),
        ("{{ 'a longer text'|truncate(10) }}", "a..."),
        ("{{ ' b '|trim|upper|lower|title }}", "B"),
        ("{{ [3, 1, 2]|sort|reverse|first }} {{ [1, 2]|sum }} {{ docs|length }}", "3 3 2"),
        ("{{ name|first }}{{ name|last }} {{ range(9)|last }} {{ name|replace(old='n', new='m') }}", "An 8 Amm"),
        ("{{ '<b>'|e }} {{ 'a\nb'|indent(2) }}", "&lt;b&gt; a\n  b"),
        ("{% if absent is defined %}a{% endif %}{% if name is string %}b{% endif %}", "b"),
        ("a\n{% if flag %}\nb\n{% endif %}\nc", "a\nb\nc"),
    ],
)
def test_a_template_says(source: str, text: str) -> None:
    docs = [{"t": "a", "ok": True}, {"t": "b", "ok": False}]
    person = {"name": "Bo", "tags": ["x", "y"]}
    assert text_of(source, name="Ann", n=3, flag=True, nothing=None, docs=docs, person=person) == text


def test_a_message_of_nothing_is_an_empty_text() -> None:
    assert compile_document(document("{{ a }}")).render({"a": ""}) == (Rendered("user", ("",)),)


def test_an_attachment_parts_the_text_around_it() -> None:
    compiled = compile_document(document("Look: {{ photo }}\nand {{ photo }}"))
    assert compiled.render({"photo": PHOTO})[0].pieces == ("Look: ", PHOTO, "\nand ", PHOTO)


@pytest.mark.parametrize("source", ["{{ photo|upper }}", "{{ photo ~ 'x' }}", "{{ [photo] }}", "{{ photo.part }}"])
def test_an_attachment_stands_alone(source: str) -> None:
    with pytest.raises(RenderFailed):
        text_of(source, photo=PHOTO)


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\n{{ b c }}", 2, "not a template"),
        ("\n\n{% if x %}", 3, "not a template"),
        ("a\nb {{ x.y() }}", 2, "nothing can be called but `range`"),
        ("{{ x.items() }}", 1, "write `|items`"),
        ("{{ x|shout }}", 1, "there is no filter 'shout'"),
        ("{{ 1 < 2 < 3 }}", 1, "one comparison at a time"),
        ("{% include 'x' %}", 1, "no includes"),
    ],
)
def test_what_is_no_template_is_refused_with_its_line(source: str, line: int, words: str) -> None:
    with pytest.raises(TemplateRefused, match=words) as refused:
        compile_document(document("fine", source))
    assert (refused.value.index, refused.value.line) == (1, line)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{{ absent }}", r"messages\[0\], line 2: 'absent' is not there"),
        ("\n\n{{ person.absent }}", r"line 3: 'absent' is not there"),
        ("{{ person[secret] }}", "an item that is asked for is not there"),
        ("{% for x in 5 %}{% endfor %}", "a loop goes over a list, an object or a text, not a number"),
        ("{{ secret + 1 }}", "takes two numbers, not a text and a number"),
        ("{{ 1 / 0 }}", "cannot take this"),
        ("{{ secret|round }}", "`round` takes a number"),
    ],
)
def test_a_failure_names_its_line_and_nothing_of_the_values(source: str, words: str) -> None:
    with pytest.raises(RenderFailed, match=words) as failed:
        text_of(source, person={}, secret="canary")
    assert "canary" not in str(failed.value)


# ------------------------------------------------------------------ what is not to be trusted


def test_untrusted_text_stands_between_delimiters_that_it_does_not_hold() -> None:
    text = text_of("{{ q }}", q=untrusted("hi"))
    assert text == "<untrusted-8f434346648f6b96>\nhi\n</untrusted-8f434346648f6b96>"
    assert text_of("{{ q }}", q=untrusted("hi")) == text, "equal requests stay equal"


@given(st.text())
def test_no_text_closes_its_own_delimiters(text: str) -> None:
    once = fenced(text)
    inside = fenced(once)
    for whole, content in ((once, text), (inside, once)):
        first, last = whole.split("\n", 1)[0], whole.rsplit("\n", 1)[1]
        assert whole == f"{first}\n{content}\n{last}"
        assert first not in content
        assert last not in content


@pytest.mark.parametrize(
    "source",
    [
        "{{ q|upper }}",
        "{{ q[0] }}",
        "{{ q[:2] }}",
        "{{ q ~ '' }}",
        "{{ '' + q }}",
        "{{ [q]|join }}",
        "{{ ['a', 'b']|join(q) }}",
        "{{ [q] }}",
        "{{ {'k': q}|tojson }}",
        "{{ 'x'|replace('x', q) }}",
        "{{ 'xxxx'|truncate(3, end=q) }}",
        "{{ q|first }}",
        "{{ q|list|last }}",
        "{% for c in q %}{{ c }}{% endfor %}",
        "{% for key in d %}{{ key }}{% endfor %}",
        "{% for key, value in d|items %}{{ key }}{% endfor %}",
        "{{ d.k }}",
        "{{ d|keys|first }}",
        "{% set a = q %}{{ a }}",
        "{{ q if q else '' }}",
        "{{ absent|default(q) }}",
    ],
)
def test_what_is_made_of_untrusted_text_is_untrusted(source: str) -> None:
    text = text_of(source, q=untrusted("hey"), d=untrusted({"k": "v"}))
    assert text.startswith("<untrusted-")


# ------------------------------------------------------------------ blanks


def test_a_version_that_trims_has_no_blanks_at_the_ends_of_its_lines() -> None:
    compiled = compile_document(document("Answer based on: {{ context }} \n Question: {{ question }}\t\nx  "))
    assert not compiled.has_blank_ends
    messages = compiled.render({"context": "c  \nd", "question": "q"})
    assert messages[0].text == "Answer based on: c  \nd\n Question: q\nx  "
    assert ends_in_blanks(messages)
    assert trimmed(messages)[0].text == "Answer based on: c  \nd\n Question: q\nx"


@pytest.mark.parametrize("whitespace", ["reject", "warn"])
def test_a_version_that_does_not_trim_knows_its_blanks(whitespace: str) -> None:
    compiled = compile_document(document("Based on: {{ c }} \n Question", whitespace=whitespace))
    assert compiled.has_blank_ends
    assert compiled.render({"c": "c"})[0].text == "Based on: c \n Question"


def test_what_ends_in_an_image_does_not_end_in_blanks() -> None:
    messages = compile_document(document("Look: {{ photo }}")).render({"photo": PHOTO})
    assert not ends_in_blanks(messages)
    assert trimmed(messages) == messages


def test_rendering_uses_what_was_checked() -> None:
    asked = document("{{ n }} {{ on }} {{ xs }}", variables={
        "n": Variable(type="number"), "on": Variable(type="boolean"), "xs": Variable(type="list", default=[1]),
    })  # fmt: skip
    assert compile_document(asked).render(checked(asked, {"n": "2.5", "on": True}))[0].text == "2.5 true [1]"
