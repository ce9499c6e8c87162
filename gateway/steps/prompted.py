"""Requests that name a prompt of the registry, made into what they stand for; everything after sees an ordinary one.

    body ─ names no prompt ─────────────────────────────────────────────────────────────────┬─ request
         ─ names one ─ version: by number, or a label's arm ─ variables checked ─ rendered ─┘
                                                                └─ policy: trim, reject, warn

The rendered request is read like any other, by the bytes it has, so that a version which changes is another request to
caches and memories alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import BadRequest, PromptNotFound
from gateway.prompts.document import PRODUCTION
from gateway.prompts.experiments import StickyBy, choose, sticky_key
from gateway.prompts.rendered import Rendered, RenderFailed, TemplateRefused, ends_in_blanks, trimmed
from gateway.prompts.variables import checked
from gateway.prompts.version import Prompt, Version
from gateway.record import Record
from gateway.steps.named import Beside, Named
from gateway.steps.turn import Turn
from gateway.tokens.count import TokenCounter, tokens_of
from gateway.value import value
from gateway.values import Request
from gateway.wire import json_bytes
from gateway.wire.endpoint import Endpoint
from gateway.wire.prompt_echo import Echo
from gateway.wire.prompted import ENDPOINTS, Attached, Message, asked, chat_messages, defaults, filled
from gateway.wire.reader import AT_ONCE_BYTES, Reader

if TYPE_CHECKING:
    from gateway.prompts.render import Compiled

_MOST_READY = 512
"""Versions kept compiled, each for either endpoint; some 50 kB each."""
_AT_ONCE_CHARS = 4_096
"""Of templates: compiling so many takes 5 ms at the most, and mostly less than one."""
_DIGITS = 10
"""Of a version's number, at most."""


class Prompts(Protocol):
    """The registry."""

    @property
    def is_empty(self) -> bool:
        """Known to hold none."""
        ...

    def get(self, id_or_name: str) -> Prompt | None: ...


@value
class Ready:
    """A version for one endpoint: its templates compiled, and what it sets where the request does not."""

    compiled: "Compiled"
    preset: Mapping[str, Any]


class Prompted:
    """Reads the requests of one configuration."""

    def __init__(self, reader: Reader, counter: TokenCounter, prompts: Prompts | None) -> None:
        """Without `prompts`, and while there are none, the field is nothing of ours, and is passed on."""
        self._reader = reader
        self._counter = counter
        self._prompts = prompts
        self._ready: dict[tuple[str, str], Ready] = {}

    def unprompted(self, turn: Turn) -> Request | None:
        """The request, where it names no prompt of ours; None where it does, or may, or is too large for one step."""
        endpoint, body = turn.endpoint, turn.incoming.body
        if len(body) > AT_ONCE_BYTES:
            return None
        if not self._may_be_asked(endpoint):
            return self._reader.read(endpoint, body)
        if b'"prompt"' in body:
            return None
        try:
            request = self._reader.read(endpoint, body)
        except BadRequest:
            if b"\\u" in body:  # it may lack what the prompt brings
                return None
            raise
        return None if "prompt" in request.fields else request  # spelled with escapes

    def _may_be_asked(self, endpoint: Endpoint) -> bool:
        return self._prompts is not None and not self._prompts.is_empty and endpoint.name in ENDPOINTS

    async def rendered(self, turn: Turn) -> tuple[Turn, Request]:
        """The request that a prompt and its variables make, or that there is, and how it is answered.

        Raises PromptNotFound and BadRequest.
        """
        endpoint, body = turn.endpoint, turn.incoming.body
        fields = await self._reader.fields_in_steps(body)
        wanted = asked(body, fields) if self._may_be_asked(endpoint) else None
        if wanted is None:
            return turn, await self._reader.read_in_steps(endpoint, body, fields)
        await self._reader.step_after(body)
        named = Named(endpoint.name, body, fields, wanted)
        prompt, version = self._version(named, turn.record)
        request = await self._reader.read_made(endpoint, await self.body_of(named, prompt, version, turn.record))
        if prompt.shadow is not None:
            turn = replace(turn, beside=Beside(named, prompt))
        if endpoint.name == "responses":
            told = {"id": prompt.id, "variables": wanted.variables or {}, "version": str(version.number)}
            turn = replace(turn, client=Echo(turn.client, told))
        return turn, request

    def _version(self, named: Named, record: Record) -> tuple[Prompt, Version]:
        """What is asked for: a number, or what a label points at for this user or conversation."""
        assert self._prompts is not None
        prompt = self._prompts.get(named.asked.id)
        if prompt is None:
            raise PromptNotFound(named.asked.id)
        wanted = PRODUCTION if named.asked.version is None else named.asked.version
        if wanted.isascii() and wanted.isdigit():
            number = int(wanted[:_DIGITS])
        else:
            number = self._arm(prompt, wanted, named, record)
            record.prompt_label = wanted if number else None
        version = prompt.versions.get(number)
        if version is None:
            raise PromptNotFound(named.asked.id, wanted)
        return prompt, version

    def _arm(self, prompt: Prompt, label: str, named: Named, record: Record) -> int:
        """The number that `label` has for whoever asks; 0 where there is no such label."""
        arms = prompt.labels.get(label, ())
        if len(arms) < 2:
            return arms[0].number if arms else 0
        by: StickyBy = "conversation" if prompt.sticky_by.get(label) == "conversation" else "user"
        caller = record.caller.name if record.caller is not None else ""
        return choose(arms, sticky_key(named.fields, by, caller), f"{prompt.id}/{label}")

    async def body_of(self, named: Named, prompt: Prompt, version: Version, record: Record) -> bytes:
        """The body that `version` makes of a client's; what was used, and let pass, stands in `record`."""
        record.prompt, record.prompt_version = prompt.name, version.number
        ready = self._ready.get((version.digest, named.endpoint)) or await self._make_ready(named.endpoint, version)
        values = checked(version.document, named.asked.variables)
        rendered = _rendered(ready.compiled, values, version)
        rendered = _within_whitespace(ready.compiled, rendered, version, record)
        messages = [_message(message) for message in rendered]
        model = named.fields.get("model") or ready.preset.get("model")
        if model is None:
            raise BadRequest(
                f"You must provide 'model': version {version.number} of prompt '{prompt.name}' names none.",
                param="model",
                code="missing_required_parameter",
            )
        if version.document.token_budget is not None and isinstance(model, str):
            await self._within_budget(version, version.document.token_budget, messages, model, record)
        made_of = (named.endpoint, named.body, named.fields, messages, ready.preset)
        if len(named.body) + _chars(messages) <= AT_ONCE_BYTES:
            return filled(*made_of)
        return await self._counter.in_thread(filled, *made_of)

    async def _make_ready(self, endpoint: str, version: Version) -> Ready:
        """Compiled once, a long one in a thread; of too many, the one that was compiled first goes first."""
        if sum(len(message.content) for message in version.document.messages) <= _AT_ONCE_CHARS:
            ready = _readied(endpoint, version)
        else:
            ready = await self._counter.in_thread(_readied, endpoint, version)
        self._ready[version.digest, endpoint] = ready
        if len(self._ready) > _MOST_READY:
            del self._ready[next(iter(self._ready))]
        return ready

    async def _within_budget(
        self, version: Version, budget: int, messages: Sequence[Message], model: str, record: Record
    ) -> None:
        """BadRequest, or a warning, where the rendered messages have more tokens than their version may have."""
        written = chat_messages(messages, is_counted=True)
        body = json_bytes.dumps(written)
        is_text = all(isinstance(piece, str) for _, pieces in messages for piece in pieces)
        if is_text and len(body) <= budget:
            return  # no token is shorter than a byte
        request = Request("chat", body, {"messages": written}, model)
        tokens = tokens_of(await self._counter.count(request, model))
        if tokens <= budget:
            return
        if version.document.over_budget == "reject":
            raise _refused(
                version,
                f"has {tokens:,} tokens with these variables, {tokens - budget:,} more than its budget of {budget:,}",
                "prompt_over_budget",
            )
        record.prompt_warnings = (*record.prompt_warnings, "over_budget")


def _readied(endpoint: str, version: Version) -> Ready:
    from gateway.prompts.render import compile_document

    document = version.document
    try:
        compiled = compile_document(document)
    except TemplateRefused as refused:
        raise _unusable(version, str(refused)) from None
    preset = defaults(
        endpoint,
        document.parameters,
        model=document.model,
        tools=document.tools,
        response_format=document.response_format,
    )
    return Ready(compiled, preset)


def _rendered(compiled: "Compiled", values: Mapping[str, Any], version: Version) -> tuple[Rendered, ...]:
    try:
        return compiled.render(values)
    except RenderFailed as failed:
        raise _unusable(version, str(failed)) from None


def _within_whitespace(
    compiled: "Compiled", messages: tuple[Rendered, ...], version: Version, record: Record
) -> tuple[Rendered, ...]:
    """`messages` without blanks at their ends, or BadRequest, or a warning: as the version wants it."""
    if not compiled.has_blank_ends and not ends_in_blanks(messages):
        return messages
    if version.document.whitespace == "trim":
        return trimmed(messages)
    if version.document.whitespace == "reject":
        why = "has spaces at the end of a line or of a message, which are paid for with every request"
        raise _refused(version, why, "prompt_whitespace")
    record.prompt_warnings = (*record.prompt_warnings, "whitespace")
    return messages


def _chars(messages: Sequence[Message]) -> int:
    return sum(len(piece) for _, pieces in messages for piece in pieces if isinstance(piece, str))


def _message(rendered: Rendered) -> Message:
    pieces = [piece if isinstance(piece, str) else Attached(piece.variable, piece.part) for piece in rendered.pieces]
    return rendered.role, pieces


def _unusable(version: Version, why: str) -> BadRequest:
    return BadRequest(
        f"Version {version.number} of prompt '{version.document.name}' cannot be rendered: {why}.",
        param="prompt",
        code="prompt_unusable",
    )


def _refused(version: Version, why: str, code: str) -> BadRequest:
    """Its own policy says so."""
    return BadRequest(f"Version {version.number} of prompt '{version.document.name}' {why}.", param="prompt", code=code)
