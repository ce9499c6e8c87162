"""A simulated model API in OpenAI's protocol, for the demo, tests and load; never in the request path.

    app.py         the HTTP server: paths, keys, errors, labels
    checks.py      what OpenAI would refuse, in its words
    faults.py      trouble on request: `x-simulate: status=503`
    pace.py        how fast tokens come, and how a stream goes wrong
    tokens.py      true token counts, and texts cut into tokens
    answers.py     what is said: seeded by the prompt, bounded, with tool calls and JSON
    prose.py  json_values.py  patterns.py  tools.py        the material of answers
    chat.py  completions.py  responses.py  embeddings.py   the shapes of the four endpoints
"""

from gateway.simulator.app import Simulator

__all__ = ["Simulator"]
