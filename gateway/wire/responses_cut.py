"""The end of a stream of the Responses API that is cut: what is open is closed, and the response is `incomplete`.

As OpenAI ends one that came to its `max_output_tokens`: texts, parts and items that had begun are done as
they stand, and the last event carries the response with all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.values import Usage
from gateway.wire.responses_stream import (
    GROWING,
    ITEM_ADDED,
    ITEM_DONE,
    PART_ADDED,
    PART_DONE,
    TEXTS,
    encode,
)

_Place = tuple[int, str, int]
"""Of a text that grows: its item, the list in it (`content`, `summary`, or none), the place in that."""


def cut_short(events: Iterable[Mapping[str, Any]], usage: Usage) -> bytes:
    """The events that end a stream of which `events` have come, numbered on from them."""
    so_far = _SoFar()
    for event in events:
        so_far.take(event)
    items = so_far.items()
    closing = [
        each for index, item in items.items() if index not in so_far.done for each in so_far.closing(index, item)
    ]
    response = {
        **so_far.response,
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [items[index] for index in sorted(items)],
        "usage": {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
        },
    }
    closing.append(("response.incomplete", {"response": response}))
    return b"".join(encode(kind, so_far.number + n, body) for n, (kind, body) in enumerate(closing))


class _SoFar:
    """What the events of a stream amount to before its end."""

    def __init__(self) -> None:
        self.response: Mapping[str, Any] = {}
        self.number = 0
        """Of the next event."""
        self.done: set[int] = set()
        self._items: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, dict[int, dict[str, Any]]] = {}
        self._done_parts: set[tuple[int, int]] = set()
        self._texts: dict[_Place, list[str]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        if isinstance(number := event.get("sequence_number"), int):
            self.number = max(self.number, number + 1)
        if isinstance(response := event.get("response"), dict):
            self.response = response
        index, item, part = event.get("output_index"), event.get("item"), event.get("part")
        if not isinstance(index, int):
            return
        kind, place = event.get("type"), event.get("content_index")
        if kind in (ITEM_ADDED, ITEM_DONE) and isinstance(item, dict):
            self._items[index] = item
            if kind == ITEM_DONE:
                self.done.add(index)
        elif kind in (PART_ADDED, PART_DONE) and isinstance(part, dict) and isinstance(place, int):
            self._parts.setdefault(index, {})[place] = part
            if kind == PART_DONE:
                self._done_parts.add((index, place))
        elif isinstance(delta := event.get("delta"), str):
            self._texts.setdefault(_place(index, event), []).append(delta)

    def items(self) -> dict[int, dict[str, Any]]:
        """Every item as far as it has come, by its place in the output."""
        return {i: item if i in self.done else self._unfinished(i, item) for i, item in self._items.items()}

    def closing(self, index: int, item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that end `item`, which stands at `index` and is not done."""
        within = {"item_id": item.get("id", ""), "output_index": index}
        for number, part in enumerate(item.get("content") or ()):
            if (index, number) in self._done_parts:
                continue
            place = {**within, "content_index": number}
            key, name = TEXTS.get(str(part.get("type")), ("", ""))
            if key:
                logs: dict[str, Any] = {"logprobs": []} if key == "text" else {}
                yield f"{name}.done", {**place, key: part.get(key, ""), **logs}
            yield PART_DONE, {**place, "part": part}
        if item.get("type") in GROWING:
            key, name = GROWING[str(item.get("type"))]
            yield f"{name}.done", {**within, key: item.get(key, "")}
        yield ITEM_DONE, {"output_index": index, "item": item}

    def _unfinished(self, index: int, item: Mapping[str, Any]) -> dict[str, Any]:
        whole = {**item, "status": "incomplete"} if "status" in item else {**item}
        if index in self._parts:
            parts = self._parts[index]
            whole["content"] = [self._part(index, number, parts[number]) for number in sorted(parts)]
        if (kind := item.get("type")) in GROWING:
            key, _ = GROWING[str(kind)]
            whole[key] = "".join(self._texts.get((index, "", 0), ()))
        return whole

    def _part(self, index: int, number: int, part: Mapping[str, Any]) -> dict[str, Any]:
        key, _ = TEXTS.get(str(part.get("type")), ("", ""))
        if not key or (index, number) in self._done_parts:
            return dict(part)
        return {**part, key: "".join(self._texts.get((index, "content", number), ()))}


def _place(index: int, event: Mapping[str, Any]) -> _Place:
    for name in ("content", "summary"):
        if isinstance(number := event.get(f"{name}_index"), int):
            return index, name, number
    return index, "", 0
