"""The configuration of `gateway serve` without a file: loopback, open, no caps, no cache."""

_TEMPLATE = """\
auth: none
upstreams:
  {upstream}:
    base_url: {base_url}
{key}routes:
  - name: default
    match: {{models: ["*"]}}
    upstream: {upstream}
"""


def for_openai() -> str:
    """OpenAI with the key from the environment."""
    return _TEMPLATE.format(
        upstream="openai", base_url="https://api.openai.com/v1", key="    api_key: ${OPENAI_API_KEY}\n"
    )


def for_simulator(base_url: str) -> str:
    """The simulator at `base_url`, which holds no spaces or quotes. What it costs is nobody's money: no ledger."""
    return _TEMPLATE.format(upstream="simulator", base_url=base_url, key="") + "ledger: none\n"
