from gateway.auth.secret import digest_of, make_secret, may_be_issued


def test_a_secret_is_known_by_its_form_and_checksum() -> None:
    secret = make_secret()
    assert secret.startswith("gwk_")
    assert len(secret) == 50
    assert may_be_issued(secret)
    assert len(digest_of(secret)) == 32


def test_one_wrong_letter_is_noticed() -> None:
    secret = make_secret()
    for at in range(len(secret)):
        other = "x" if secret[at] != "x" else "y"
        assert not may_be_issued(secret[:at] + other + secret[at + 1 :])


def test_what_is_not_of_the_form_is_not_even_looked_at() -> None:
    for garbage in ("", "gwk_", "sk-" + "a" * 47, "gwk_" + "é" * 46, "gwk_" + "a" * 460, "\udcff" * 50):
        assert not may_be_issued(garbage)


def test_secrets_differ() -> None:
    assert len({make_secret() for _ in range(100)}) == 100
