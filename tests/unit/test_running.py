"""Which services run: what a service manager says, and that half an answer is none."""

import subprocess

import pytest

from generator import running
from generator.errors import ProbeError


def test_init_scripts_are_asked_for_their_status(tmp_path):
    """The scripts stand below another root, because this machine's own services are nobody's business."""
    scripts = {"up": "status) exit 0;;", "down": "status) exit 3;;", "mute": "start) exit 0;;"}
    for name, case in scripts.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncase $1 in {case} esac\n")
        path.chmod(0o755)
    script = running.command([*scripts, "absent"]).replace("/etc/init.d", str(tmp_path))
    script = script.replace("/run/systemd/system", str(tmp_path / "no-systemd"))
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert running.parse(done.stdout) == ("up",)


def test_systemd_is_asked_where_it_runs(tmp_path):
    """systemctl is played by a script of this name: the lab's nodes have the real one."""
    (tmp_path / "systemctl").write_text("#!/bin/sh\n[ \"$*\" = 'is-active --quiet nginx.service' ]\n")
    (tmp_path / "systemctl").chmod(0o755)
    script = running.command(["nginx", "haproxy"]).replace("/run/systemd/system", str(tmp_path))
    done = subprocess.run(
        ["sh", "-s"], input=script, capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert running.parse(done.stdout) == ("nginx",)


@pytest.mark.parametrize("name", ["a b", "$(id)", "", "a;b", "a\n"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="no name of a service"):
        running.command([name])


@pytest.mark.parametrize("answer", ["", "end\n", "styptic-running 1\nrunning\tnginx\n", "styptic-running 1\nx\nend\n",
                                    "styptic-running 1\nrunning\ta b\nend\n"])
def test_half_an_answer_is_none(answer):
    with pytest.raises(ProbeError):
        running.parse(answer)
