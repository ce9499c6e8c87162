from pydantic import SecretStr

from gateway.config.model import Upstream
from gateway.upstream.redact import redact, secrets_of

UPSTREAM = Upstream(
    base_url="https://api.example.com/v1",
    api_key=SecretStr("sk-0123456789"),
    headers={"api-key": "azure-secret", "x-tag": "blue-and-green"},
    query={"api-version": "2026-01-01"},
)


def test_keys_and_headers_named_like_credentials_count_as_secrets() -> None:
    assert secrets_of(UPSTREAM) == (b"azure-secret", b"sk-0123456789")
    assert secrets_of(Upstream(base_url="http://localhost/v1")) == ()


def test_a_secret_is_masked_and_the_length_stays() -> None:
    secrets = secrets_of(UPSTREAM)
    assert redact(b"Incorrect key: sk-0123456789, blue", secrets) == b"Incorrect key: *************, blue"
    assert redact(b"Hello.", secrets) == b"Hello."
