"""Of each inference endpoint the least request, and one whole answer with everything that has a form of its own."""

from typing import Any

LEAST: dict[str, dict[str, Any]] = {
    "chat": {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]},
    "completions": {"model": "gpt-5-mini", "prompt": "hi"},
    "embeddings": {"model": "gpt-5-mini", "input": "hi"},
    "responses": {"model": "gpt-5-mini", "input": "hi"},
}

LOGGED = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
WHOLE: dict[str, dict[str, Any]] = {
    "chat": {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "reasoning_content": "Hm",
                    "audio": {"id": "a", "data": "UklG", "transcript": "Hi"},
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": {"content": [LOGGED], "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    "completions": {
        "id": "c",
        "object": "text_completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "text": "Hi you",
                "logprobs": {"tokens": ["Hi", " you"], "token_logprobs": [-0.5, None], "text_offset": [0, 2]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    },
    "embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
    "responses": {
        "id": "r",
        "status": "completed",
        "error": None,
        "output": [
            {"id": "1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "status": None},
            {
                "id": "2",
                "type": "message",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "Hi", "annotations": [{"type": "x"}], "logprobs": [LOGGED]},
                    {"type": "refusal", "refusal": "No"},
                ],
            },
            {"id": "3", "type": "function_call", "name": "f", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
    },
}
