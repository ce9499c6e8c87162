"""A simulated model API in OpenAI's protocol, for the demo, tests and load; never in the request path.

app.py            the HTTP server: paths, keys, labels, errors
delivery.py       how a reply leaves: its pace, and how it goes wrong
faults.py         trouble on request: `x-simulate: status=503`
checks.py         what OpenAI would refuse; made of rules.py, worded as errors.py
chat.py  completions.py  embeddings.py  responses.py    one endpoint each: its shapes, over reply.py
answers.py        what is said: seeded by the prompt, bounded, text or tool calls
prose.py  json_values.py  patterns.py  tools.py  logprobs.py    what answers are made of
tokens.py         true token counts, and texts cut into tokens
"""

from gateway.simulator.app import Simulator

__all__ = ["Simulator"]
