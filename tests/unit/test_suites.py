"""`invoke test` runs two pytests at once: nothing that failed in either is lost."""

import pytest

from lab import suites

PASSES = "def test_good():\n    assert True\n"
FAILS = "def test_bad():\n    assert not 'broken on purpose'\n"


@pytest.mark.parametrize(
    ("lab", "unit", "words", "code"),
    [
        (PASSES, PASSES, (), 0), (FAILS, PASSES, (), 1), (PASSES, FAILS, (), 1),
        (PASSES, FAILS, ("-k", "good"), 0), (PASSES, PASSES, ("-k", "nothing"), 1),
    ],
)
def test_what_failed_in_either_fails_both(tmp_path, capfdbinary, monkeypatch, lab, unit, words, code):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # no plugin has a part in it, and each takes time
    for name, text in (("lab", lab), ("unit", unit)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(text)
    assert suites.side_by_side(str(tmp_path / "lab"), str(tmp_path / "unit"), *words) == code
    said = capfdbinary.readouterr().out.decode()
    assert said.count("test session starts") == 2
    assert ("broken on purpose" in said) == (code == 1 and not words)
