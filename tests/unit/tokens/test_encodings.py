import pytest

from gateway.tokens.encodings import encoding_name


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "chatgpt-4o-latest",
        "gpt-4.1-nano",
        "gpt-4.5-preview",
        "gpt-5.1",
        "gpt-9-ultra",
        "o1",
        "o3-mini",
        "o17-pro",
        "openai/gpt-4o",
        "ft:gpt-4o-mini:acme::8XyZ",
        "claude-sonnet-4-5",
        "meta-llama/Llama-3.3-70B",
        "",
    ],
)
def test_new_and_unknown_models_use_o200k(model: str) -> None:
    assert encoding_name(model) == "o200k_base"


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4",
        "gpt-4-0613",
        "gpt-4-32k",
        "gpt-4-turbo-preview",
        "gpt-3.5-turbo",
        "gpt-35-turbo-16k",
        "GPT-4",
        "azure/gpt-4",
        "openrouter/openai/gpt-3.5-turbo",
        "ft:gpt-3.5-turbo-0125:acme::8XyZ",
        "ft:davinci-002:acme::1",
        "text-embedding-3-small",
        "text-embedding-ada-002",
    ],
)
def test_models_before_2024_and_embeddings_use_cl100k(model: str) -> None:
    assert encoding_name(model) == "cl100k_base"
