"""The shell target, the playbook and the state: rendered whole, and the script's own answers against Styptic's."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet import converge
from generator import advisory, services, targets, versions
from generator.errors import RenderError
from generator.services import Service

HEARTBLEED = advisory.load(["CVE-2014-0160"])
SCRIPT = targets.shell(HEARTBLEED)[targets.SCRIPT]
LAST = 'main "$@" </dev/null\n'
#: Packages of one machine, below, at and above the row of its release, and what no plain row speaks of.
JUDGED = [
    ("debian", "7.11", "libssl1.0.0", "1.0.1e-2+deb7u4"), ("debian", "7.11", "libssl1.0.0", "1.0.1e-2+deb7u5"),
    ("debian", "7.11", "openssl", "1.0.1e-2+deb7u5~"), ("debian", "7.11", "openssl", "1.0.1e-2+deb7u21"),
    ("debian", "7.11", "libssl1.0.0", "1.0.1g-1~bpo70+1"), ("debian", "12.5", "libssl3", "3.0.20-1~deb12u2"),
    ("debian", "8.11", "libssl1.0.0", "1.0.1e-2+deb7u4"), ("debian", "7.11", "libssl0.9.8", "0.9.8o-4squeeze14"),
    ("ubuntu", "12.04", "libssl1.0.0", "1.0.1-4ubuntu5.11"), ("ubuntu", "12.04", "libssl1.0.0", "1.0.1-4ubuntu5.12"),
    ("ubuntu", "10.04", "libssl0.9.8", "0.9.8k-7ubuntu8"), ("ubuntu", "22.04", "libssl3", "3.0.2-0ubuntu1.10"),
    ("ubuntu", "20.04", "libssl1.1", "1.1.1f-1ubuntu2.fips.2.8"), ("ubuntu", "12.04", "openssl", "1.0.1-4ubuntu5.12~"),
]


def part(script: str) -> subprocess.CompletedProcess:
    """Run lines of shell with the script's functions and data at hand, past its main program."""
    assert SCRIPT.endswith(LAST)
    whole = SCRIPT.removesuffix(LAST) + "work=$(mktemp -d); trap 'rm -rf \"$work\"' EXIT\n" + script
    return subprocess.run(["sh"], input=whole, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_same_advisories_give_the_same_files_and_each_says_what_for(target):
    files = targets.TARGETS[target](HEARTBLEED)
    assert files == targets.TARGETS[target](HEARTBLEED)
    assert all("Rendered by Styptic for CVE-2014-0160" in text for text in files.values())
    assert not any(re.search(r"\[\[|\[%|\{\{ part", text) for name, text in files.items() if not name.endswith(".sh"))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_is_content():
    done = subprocess.run(["shellcheck", "-s", "sh", "-"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "ash"]], ids=" ".join)
def test_other_shells_read_it_too(shell):
    if not shutil.which(shell[0]):
        pytest.skip(f"no {shell[0]} here")
    done = subprocess.run([*shell, "-s", "--", "--help"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("words", [["--nonsense"], ["--node"], ["nonsense"]])
def test_wrong_usage_ends_with_1_and_changes_nothing(words):
    done = subprocess.run(["sh", "-s", "--", *words], input=SCRIPT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr


def test_a_script_that_was_cut_short_does_nothing():
    done = subprocess.run(["sh"], input=SCRIPT.removesuffix(LAST), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg compares, and is not here")
@pytest.mark.parametrize(("platform", "release", "package", "version"), JUDGED)
def test_its_verdict_is_that_of_styptic_or_unknown(platform, release, package, version):
    told = versions.verdict(HEARTBLEED[0], platform, release, {package: version}).kind
    done = part(
        f"platform={platform} release={release}\ndistro_of $platform\nnames=\n"
        f"installed() {{ echo '{package} {package} {version} -'; }}\njudge\necho \"$kind\"\ncat \"$work/reasons\"\n"
    )
    kind, *reasons = done.stdout.splitlines()
    assert reasons, done.stderr
    assert kind == told or (kind == "unknown" and told != "vulnerable"), (told, reasons)


def test_the_plain_cases_are_judged():
    """The test above would pass on a script that knows nothing."""
    kinds = [
        part(
            "platform=debian release=7.11\ndistro_of debian\nnames=\n"
            f"installed() {{ echo 'openssl openssl {each} -'; }}\njudge\necho \"$kind\"\n"
        ).stdout.strip() for each in ("1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5", "1.0.1f-1")
    ]
    assert kinds == ["vulnerable", "fixed", "unknown"]


def test_what_it_records_is_json_whatever_a_process_calls_itself():
    hostile = r'q"uote\back'
    done = part(f"""
state=$work platform=debian release=7 started=2014-04-07T00:00:00Z node='no"de' kind=fixed advisories=A
for list in failures held installed reasons packages.before present; do : >"$work/$list"; done
printf '%s\\n' '{hostile}' >"$work/failures"
printf 'stale\\t7\\torphan\\t\\tnobody\\t/lib/libssl.so.1\\t1\\t\\t%s\\n' '{hostile}' >"$work/stale"
cp "$work/stale" "$work/stale.before"
echo nginx >"$work/upgraded"
record
cat "$state/result.json"
""")
    found = json.loads(done.stdout)
    assert found["stale_after"][0]["command"] == hostile
    assert (found["node"], found["error"]) == ('no"de', hostile)
    result = converge.result_of(done.stdout.encode())
    assert (result.status, result.upgraded, result.reloaded) == ("failure", ("nginx",), ())
    assert result.not_touched == ({"service": None, "command": "restart PID 7 of nobody"},)


def test_the_services_are_those_of_the_data_in_their_order():
    facts = targets.service_facts(services.load()["nginx"])
    assert facts[0] == "names nginx"
    assert [each.split()[1] for each in facts if each.startswith("step ")] == ["upgrade", "restart"]
    assert all(f"{name} names " in SCRIPT for name in services.load())


def test_a_word_that_a_shell_would_split_or_expand_is_refused():
    wrong = Service("x", ("x",), False, (), test=("x", "two words"), because="b", source="s")
    with pytest.raises(RenderError, match="'two words' in its test"):
        targets.service_facts(wrong)


def test_files_are_written_once_and_what_was_not_rendered_is_left_alone(tmp_path):
    files = {tmp_path / "a" / name: text for name, text in targets.salt(HEARTBLEED).items()}
    assert targets.write(files)
    assert not targets.write(files)
    mine = tmp_path / "mine"
    mine.write_text("mine\n")
    with pytest.raises(RenderError, match="move it away"):
        targets.write({tmp_path / "new": "Rendered by Styptic for x", mine: "x"})
    assert mine.read_text() == "mine\n"
    assert not Path(tmp_path / "new").exists()


def test_of_several_libraries_each_advisory_keeps_to_its_own_packages():
    xz = advisory.read(Path(__file__).parents[1] / "data/advisories/CVE-2024-3094.toml")
    known = re.search(r"^advisory_packages='(.*?)'$", targets.shell([*HEARTBLEED, xz])[targets.SCRIPT], re.M | re.S)
    said = {words[0]: words[1:] for line in known[1].splitlines() if (words := line.split())}
    assert said["CVE-2024-3094"] == ["liblzma5", "xz-utils"]
    assert "liblzma5" not in said["CVE-2014-0160"]
    assert {"openssl", "libssl3", "openssl-libs"} <= set(said["CVE-2014-0160"])
    assert "\nadvisory_packages=''\n" in SCRIPT
