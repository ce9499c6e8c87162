"""An OpenAI-compatible gateway. Start reading at `values.py` (the nouns), then `pipeline.py` (the verbs)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("llm-gateway")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
