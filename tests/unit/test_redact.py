"""What is kept of what nodes print holds no secret that looks like one, and is left alone otherwise."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.redact import GONE, redacted
from fleet.text import clean, last_lines

BODY = "\n".join("MIIEpAIBAAKCAQEA" + "x7Q/+" * 9 for _ in range(20))
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"
REST = "\n".join(KEY.splitlines()[5:])
S = "hunter2-S3cr3t"


@pytest.mark.parametrize(("text", "left"), [
    (f"password={S}", "password=[redacted]"), (f"db_password: {S}, user: x", "db_password: [redacted], user: x"),
    (f"MYSQL_PWD={S} mysqld", "MYSQL_PWD=[redacted] mysqld"), (f"PASSWORD_PROD='{S} {S}'", "PASSWORD_PROD=[redacted]"),
    (f'"secret" => "{S}", "a" => 1', '"secret" => [redacted], "a" => 1'),
    (f'{{"api_key": "{S}"}}', '{"api_key": [redacted]}'),
    (f"node['db']['password'] = '{S}'", "node['db']['password'] = [redacted]"),
    (f"psql --password {S} -h x", "psql --password [redacted] -h x"),
    (f"x --auth-token={S}", "x --auth-token=[redacted]"),
    (f"Err:1 https://ops:{S}@repo.example/deb x", "Err:1 https://[redacted]@repo.example/deb x"),
    (f"https://:{S}@repo.example/", "https://[redacted]@repo.example/"),
    (f"> Authorization: Bearer {S}", "> Authorization: Bearer [redacted]"),
    (f"authorization='{S}'", "authorization='[redacted]'"),
    (f"password:\n    {S}", f"password:\n    {GONE}"), (f"password: >-\r\n  {S}\nx", f"password: >-\r\n  {GONE}\nx"),
    (f"db_password = \\\n    {S}", f"db_password = \\\n    {GONE}"),
    (f"--password \\\n  {S}", f"--password \\\n  {GONE}"),
    (f"Authorization: Bearer\n    {S}", f"Authorization: Bearer\n    {GONE}"),
    (f'{{"body": "{{\\"password\\": \\"{S} {S}\\"}}"}}', f'{{"body": "{{\\"password\\": {GONE}}}"}}'),
    (f"+  secret_key_base: {S}", "+  secret_key_base: [redacted]"),
    (f"a {KEY} b", "a [redacted] b"), (KEY.replace("\n", "\\n"), GONE), (KEY + KEY, GONE + GONE),
    (KEY.replace("\n", "\n    +") + "\nFATAL: x", f"{GONE}\nFATAL: x"),
    (KEY[:500], GONE), (f"{KEY[500:]}\nFATAL: x", f"{GONE}\nFATAL: x"),
    (f"x:\n+{REST}\n{KEY[:500]}\n.", f"x:\n{GONE}\n{GONE}."),
])
def test_what_looks_like_a_secret_is_taken_out(text, left):
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize("text", [
    "", "1:1.1.1f-1ubuntu2.11", "its sudo wants a password, and nobody is asked for one: let sudoers give ops NOPASSWD",
    "[sudo] password for ops:", "ssl_password_file = /etc/nginx/x", "PWD=/root", "bypass: yes", "key: value",
    "http://repo.example:8080/a@b", "ssh-ed25519 SHA256:+ggXv2vria1wBrkpqabv33y6Auboc1sE", "password:",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "stunnel4 /etc/stunnel/key.pem",
    "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
])
def test_the_rest_is_left_as_it_is(text):
    assert redacted(text) == text


def test_what_is_kept_of_an_output_or_shown_in_a_line_went_through_it():
    output = f"password={S}\n{KEY}\nFATAL: token: {S}\n".encode()
    assert last_lines(output) == f"password={GONE} | {GONE} | FATAL: token: {GONE}"
    assert last_lines(("x\n" * 20_000 + REST).encode(), 2) == f"x | {GONE}"
    assert clean(f"mysqld --password={S}\n{KEY} x", 2000) == f"mysqld --password={GONE} {GONE} x"


AROUND = st.text(alphabet="a=:'\"-@/ \n+[]{}#&;,\\é")


@given(AROUND, st.sampled_from(["password=", "password = ", "--password ", '"token": "', "https://a:"]), AROUND)
def test_a_secret_is_gone_wherever_it_stands(before, name, after):
    assert "Zq9" not in redacted(f"{before} {name}Zq9@ {after}")


@pytest.mark.parametrize("piece", [
    "-", "+", "--password", "password=\"", "://", "://a:", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    "authorization: ", "password: ", "password:\n", "password: |\n", "--password \\\n", 'token\\": \\"',
    "token:" + " " * 90, "a=", "pass", "\n+", "'", "-----BEGIN ",
])
def test_no_text_takes_long(piece):
    began = time.process_time()
    redacted("key " + piece * (200_000 // len(piece)))
    assert time.process_time() - began < 2
