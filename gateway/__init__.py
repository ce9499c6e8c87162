"""An OpenAI-compatible gateway. Start reading at `values.py` (the nouns), then `pipeline.py` (the verbs)."""

__version__ = "0.1.0"
"""Written here and read by the build: asking the installed package's metadata takes a twentieth of a start."""
