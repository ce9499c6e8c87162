"""`gateway demo`: a simulated model, the real gateway in front of it, real prompts through OpenAI's own client.

shipped.py   the configuration and the prompts that come with the package
sample.py    prompts + configuration → requests in two waves: fresh, repeated, streamed, too long
drive.py     sends them, a few at a time
books.py     headers, metrics and ledger beside one another
report.py    /metrics → the table of what happened
show.py      all of it in order
"""
