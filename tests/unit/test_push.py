"""Whom an upload would reach outside every wave, in words."""

import pytest

from fleet import cli, push
from fleet.errors import SettingsError


def nodes(count: int) -> list[tuple[str, str]]:
    return [(f"n{number:02}.{'x' * 90}", "production" * 9) for number in range(count)]


def refusal(count: int, capsys) -> str:
    """What stands on stderr when an upload would reach so many unpinned nodes."""
    assert cli.said_plainly(lambda: push.refuse_unpinned(nodes(count))) == 1
    return capsys.readouterr().err


def test_an_operator_sees_whom_an_upload_would_reach(capsys):
    said = refusal(50, capsys)
    assert all(f"{name} ({environment})" in said for name, environment in nodes(50))
    assert "more" not in said
    assert said.endswith("or go on with --accept-unpinned.\n")


def test_beyond_fifty_they_are_counted(capsys):
    said = refusal(53, capsys)
    assert nodes(53)[49][0] in said
    assert nodes(53)[50][0] not in said
    assert " and 3 more; nothing was uploaded: " in said


@pytest.mark.parametrize(("count", "said"), [(1, "^1 node with .* for it "), (2, "^2 nodes with .* for them ")])
def test_one_is_not_spoken_of_as_many(count, said):
    with pytest.raises(SettingsError, match=said):
        push.refuse_unpinned(nodes(count))


def test_nobody_is_no_refusal():
    assert push.refuse_unpinned([]) is None
