from collections import Counter

from gateway.demo.shipped import config_file, prompts


def test_the_prompts_are_those_of_the_licensed_sources() -> None:
    assert Counter(prompt.source for prompt in prompts()) == {
        "mmlu": 70,
        "gsm8k": 45,
        "mmlu_pro_stem": 35,
        "code_output": 25,
        "authored": 35,
    }


def test_no_prompt_stands_twice() -> None:
    texts = [prompt.text for prompt in prompts()]
    assert len(set(texts)) == len(texts) == 210


def test_the_shipped_configurations_are_found() -> None:
    assert config_file("demo.yaml").is_file()
    assert config_file("production.yaml").is_file()
