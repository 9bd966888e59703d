"""The shell target, the playbook and the state: rendered whole, and the script's own answers against Styptic's."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jinja2
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


@pytest.mark.parametrize(("held", "wanted"), [
    ("libssl1.1", ["openssl"]), ("libssl1.1:i386", ["openssl"]), ("openssl", ["libssl1.1", "libssl1.1:i386"]),
])
def test_nothing_that_is_held_is_asked_for_whatever_stands_behind_a_dot_of_its_name(held, wanted):
    done = part(f"""
names='libssl1.1 openssl' companions='' family=debian tool=apt
installed() {{
    for full in libssl1.1 libssl1.1:i386 openssl; do
        [ "$full" = {held} ] && status=hold || status=install
        echo "${{full%:*}} $full 1 $status"
    done
}}
upgradable
""")
    assert done.stdout.split() == wanted, done.stderr


STALE = """
look() { :; }
configured() { :; }
manage() { echo "$2 $1"; }
settle_seconds=0 drain_seconds=0
mkdir "$work/left" "$work/hurdle" "$work/tested"
stale() { printf 'stale\\t%s\\tservice\\t%s\\troot\\t/lib/libssl.so.3\\t\\t\\tx\\n' "$1" "$2"; }
"""


@pytest.mark.parametrize(("service", "done"), [("apache2", ["restart apache2"]), ("apache2@site", [])])
def test_a_step_is_never_taken_for_the_sake_of_another_unit(service, done):
    said = part(f"""{STALE}
systemd=1
systemctl() {{ :; }}
echo 'apache2 apache2' >"$work/present"
facts apache2 step >"$work/left/apache2"
stale 7 {service} >"$work/stale"
refresh
""").stdout.splitlines()
    assert [line for line in said if not line.startswith("openssl_patch: ")] == done


@pytest.mark.parametrize(("held", "ended"), [("4194305", False), ("$$", True)])
def test_old_processes_are_ended_only_beside_a_main_process_that_is_there(held, ended):
    """A PID file that somebody left holds no process: what is stale may then be the main process itself."""
    done = part(f"""{STALE}
systemd=
sleep 60 >/dev/null 2>&1 &
child=$!
echo {held} >"$work/pid"
stale "$child" haproxy >"$work/stale"
echo "haproxy reload pid_file=$work/pid end=TERM" >"$work/taken"
drained "$work/taken"
kill -s KILL "$child"
wait "$child"
echo "code $?"
""")
    assert done.stdout.splitlines()[-1] == ("code 143" if ended else "code 137"), done.stderr


@pytest.mark.parametrize("service", ["mysql", "mariadb", "mariadb@a"])
def test_why_a_person_is_to_see_to_it_is_told_by_whichever_name_it_runs(service):
    done = part(f"""{STALE}
systemd=1
echo 'mysql mysql' >"$work/present" # by /etc/init.d/mysql, which comes with mariadb's unit
stale 7 {service} >"$work/stale"
not_touched
""")
    said = services.load()["mysql"].because
    assert done.stdout == f"{service}\tsystemctl restart {service}\t{said}\n", done.stderr


def test_a_result_that_could_not_be_written_is_told():
    done = part("""
state=$work/none platform=debian release=7 started=2014-04-07T00:00:00Z node=n kind=fixed looked=''
for list in failures held installed reasons packages.before present stale stale.before; do : >"$work/$list"; done
record
conclude
""")
    assert done.returncode == 2
    assert "the result could not be written to " in done.stdout


ROOM = """
mount -t tmpfs -o size=1m none "$1" || exit 99
[ "$2" = later ] || dd if=/dev/zero of="$1/x" bs=64k 2>/dev/null
TMPDIR=$1 sh "$3" --look
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look, and mount a disk that is full")
@pytest.mark.parametrize(("when", "said"), [
    ("before", "there is no room in .*; nothing was changed"), ("later", "there is no more room in .*, so nothing .*"),
])
def test_a_full_disk_is_never_read_as_all_is_well(tmp_path, when, said):
    """Where nothing can be written down every list is empty: no package, no failure, nothing stale."""
    script = tmp_path / "script.sh"
    fill = "judge() { dd if=/dev/zero of=$TMPDIR/x bs=64k 2>/dev/null; : >$work/installed; }\n"
    script.write_text(SCRIPT.removesuffix(LAST) + (fill if when == "later" else "") + LAST)
    place = tmp_path / "full"
    place.mkdir()
    words = ["unshare", "--mount", "sh", "-c", ROOM, "sh", place, when, script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 99:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    assert done.returncode == 2, done.stdout
    assert re.search(said, done.stdout + done.stderr)


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


def test_the_state_refuses_a_platform_in_a_sentence_that_is_one_value_of_yaml():
    """Jinja renders it here as Salt does; Salt's yaml_dquote writes a string as JSON does."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 - as Salt's
    environment.filters |= {"yaml_dquote": json.dumps, "json": json.dumps, "regex_replace": lambda text, *_: text}
    state = environment.from_string(targets.salt(HEARTBLEED)["openssl_patch/init.sls"]).render(
        salt={"pkg.list_pkgs": dict, "environ.setval": lambda *_: None},
        grains={"os_family": "Gentoo", "os": 'Gen"too', "id": "web1"},
    )
    [said] = re.findall(r"test\.fail_without_changes:\n    - name: (.*)", state)
    assert json.loads(said) == 'Gen"too is no platform whose OpenSSL packages this state knows'
