"""The way to a host is decided before its first packet, and what is wrong with it is named by file and keyword."""

import pytest

from fleet.errors import SettingsError
from fleet.ssh_route import Router
from fleet.ssh_settings import SshSettings

NOBODYS = "~nobody-of-that-name/x"


@pytest.mark.parametrize("keyword", ["IdentityFile", "CertificateFile", "UserKnownHostsFile", "GlobalKnownHostsFile"])
def test_a_file_in_the_home_of_nobody_is_named(home, keyword):
    (home / ".ssh/config").write_text(f"{keyword} {NOBODYS}\n")
    router = Router(SshSettings())
    for _ in range(2):  # what failed once is not taken for found
        with pytest.raises(SettingsError) as caught:
            router.check()
        assert str(caught.value) == (
            f"{keyword} in {home}/.ssh/config: '{NOBODYS}' names the home of a user there is not."
        )


@pytest.mark.parametrize("keyword", ["Include", "IdentityAgent"])
def test_so_is_the_ssh_config_that_asyncssh_cannot_follow_there(home, keyword):
    (home / ".ssh/config").write_text(f"{keyword} {NOBODYS}\n")
    with pytest.raises(SettingsError, match=rf"^{home}/\.ssh/config: Could not determine home directory; mend it, or"):
        Router(SshSettings()).check()
