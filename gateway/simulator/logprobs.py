"""Made-up log probabilities in OpenAI's two shapes: each token likely, its rivals less so."""

from hashlib import sha256
from typing import Any

_RIVALS = (" the", " a", ",", " of", ".", " and", " to", " in", " is", " it", " that", " for", " on", " as", "\n")
Json = dict[str, Any]


def chat(pieces: tuple[str, ...], top: int) -> Json:
    """`logprobs` of a chat choice: one entry a token, with its `top` likeliest (itself among them)."""
    entries = []
    for piece in pieces:
        ranked = _ranked(piece, top)
        best = [_entry(token, value) for token, value in ranked[:top]]
        entries.append({**_entry(*ranked[0]), "top_logprobs": best})
    return {"content": entries, "refusal": None}


def legacy(pieces: tuple[str, ...], top: int, offset: int) -> Json:
    """`logprobs` of a completions choice whose text begins at character `offset`."""
    ranked = [_ranked(piece, top) for piece in pieces]
    offsets = []
    for piece in pieces:
        offsets.append(offset)
        offset += len(piece)
    return {
        "tokens": list(pieces),
        "token_logprobs": [best[0][1] for best in ranked],
        "top_logprobs": [dict(best[:top]) for best in ranked] if top else None,
        "text_offset": offsets,
    }


def _ranked(piece: str, top: int) -> list[tuple[str, float]]:
    """`piece` and its rivals, the likeliest first; `piece` is."""
    first = -sha256(piece.encode()).digest()[0] / 512  # 0 to -0.5
    rivals = [token for token in _RIVALS if token != piece]
    return [(piece, first), *((token, first - 1 - rank) for rank, token in enumerate(rivals[:top]))]


def _entry(token: str, value: float) -> Json:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}
