"""Who runs this: a process is known again, and not mistaken for a later one of its number."""

import json
import os
import subprocess
import sys

import pytest

from fleet import who


def test_this_process_runs_and_is_known_on_no_other_machine():
    assert who.runs(who.process(), who.host()) is True
    assert who.runs(who.process(), "another") is None


def test_a_process_that_ended_does_not():
    program = "import json; from fleet import who; print(json.dumps(who.process()))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        theirs = json.loads(child.stdout.readline())
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet waited for
        assert who.runs(theirs, who.host()) is False
    assert who.runs(theirs, who.host()) is False


def test_neither_a_later_process_of_its_number_nor_one_of_before_a_reboot_is_it():
    boot, namespace, _ = who.process()["born"].split(" ")
    earlier = {"pid": os.getpid(), "born": f"{boot} {namespace} 1"}
    assert who.runs(earlier, who.host()) is False
    assert who.runs({"pid": os.getpid(), "born": f"0-0 {namespace} 1"}, who.host()) is False


def test_another_containers_numbers_say_nothing():
    boot, _, moment = who.process()["born"].split(" ")
    assert who.runs({"pid": os.getpid(), "born": f"{boot} pid:[1] {moment}"}, who.host()) is None


@pytest.mark.parametrize("process", [{}, {"pid": 0, "born": "a"}, {"pid": True, "born": "a"}, {"pid": 1, "born": None}])
def test_what_names_no_process_says_nothing(process):
    assert who.runs(process, who.host()) is None


@pytest.mark.skipif(os.getuid() != 0, reason="sudo makes root of who calls it")
def test_the_operator_is_who_called_sudo(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ada")
    assert who.operator() == f"ada@{who.host()}"
    monkeypatch.delenv("SUDO_USER")
    assert who.operator() == f"root@{who.host()}"
