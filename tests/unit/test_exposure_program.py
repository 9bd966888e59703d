"""exposure.sh on trees made for it: what it finds, what it lets out, what it makes of logs; and what parse refuses."""

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from generator import exposure, secrets
from generator.errors import AdvisoryError, ProbeError
from generator.exposure import ENCRYPTED, UNREAD

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
HEAD = "styptic-exposure 1\nnow\t1700000000\n"


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key, encryption=None, form=PrivateFormat.PKCS8):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def digest(key):
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def base64_of(number):
    """Return how a number begins in base64, wherever it stands in what is encoded."""
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    return [base64.b64encode(raw[at:]).decode()[:24] for at in range(3)]


def certificate(key, name="a.example", encoding=Encoding.PEM):
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, SHA256())
    )
    found = made.public_bytes(encoding)
    return found.decode() if encoding is Encoding.PEM else found


def put(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def said_by(root, shell="dash", libraries=("libssl",), **settings):
    """Return what the program prints of the tree below `root`."""
    (root / "proc").mkdir(exist_ok=True)
    words = {"dash": ["dash", "-s"], "bash": ["bash", "-s"], "busybox": ["busybox", "sh", "-s"]}[shell]
    done = subprocess.run(
        words, input=exposure.command(libraries, **settings), capture_output=True, text=True, check=False,
        env={**os.environ, "EXPOSURE_ROOT": str(root), "PROC_ROOT": str(root / "proc"), "TZ": "UTC"}, errors="replace",
    )
    assert done.stderr == ""
    return done.stdout


def found_by(root, *words, **settings):
    return exposure.parse(said_by(root, *words, **settings))


def files_of(found):
    return {file.path: (file.used, len(file.certificates), *(file.keys or [None])) for file in found.files.values()}


@pytest.mark.parametrize("shell", SHELLS)
def test_nginx_with_includes_relative_names_and_words_in_one_line(tmp_path, key, shell):
    put(tmp_path, {
        "etc/nginx/nginx.conf": "http { include sites/*; # include other/*;\n}\n",
        "etc/nginx/sites/a": "server { listen 443 ssl; ssl_certificate tls/a.pem; ssl_certificate_key '/srv/a.key'; }",
        "etc/nginx/sites/b": "  # ssl_certificate /srv/not.pem;\nssl_certificate_key\n\t/srv/a.key;\n",
        "etc/nginx/tls/a.pem": certificate(key), "srv/a.key": pem(key), "srv/not.pem": certificate(key),
    })
    found = found_by(tmp_path, shell)
    assert files_of(found) == {"/etc/nginx/tls/a.pem": (True, 1, None), "/srv/a.key": (True, 0, digest(key))}
    assert {(each.service, each.real, each.by) for each in found.named} == {
        ("nginx", "/etc/nginx/tls/a.pem", "/etc/nginx/sites/a"), ("nginx", "/srv/a.key", "/etc/nginx/sites/a"),
        ("nginx", "/srv/a.key", "/etc/nginx/sites/b"),
    }


@pytest.mark.parametrize(("files", "service", "wanted"), [
    ({"etc/apache2/apache2.conf": "IncludeOptional sites-enabled/*.conf\n",
      "etc/apache2/sites-enabled/x.conf":
      'SSLCertificateFile "/t/c.pem"\nsslcertificatekeyfile /t/k.pem\n</VirtualHost>\n'},
     "apache2", {"/t/c.pem", "/t/k.pem"}),
    ({"etc/httpd/conf/httpd.conf": 'ServerRoot "/etc/httpd"\nInclude conf.d/*.conf\n',
      "etc/httpd/conf.d/ssl.conf": "SSLCertificateFile t.pem\n", "etc/httpd/t.pem": ""},
     "apache2", {"/etc/httpd/t.pem"}),
    ({"etc/haproxy/haproxy.cfg": "global\n crt-base /t\nfrontend a\n bind :1 ssl crt c.pem crt k.pem alpn h2\n"},
     "haproxy", {"/t/c.pem", "/t/k.pem"}),
    ({"etc/haproxy/haproxy.cfg": "bind :1 ssl crt-list /etc/haproxy/list\n",
      "etc/haproxy/list": "# one\n/t/c.pem [alpn h2] a.example\n/t/k.pem\n"}, "haproxy", {"/t/c.pem", "/t/k.pem"}),
    ({"etc/postfix/main.cf": "smtpd_tls_chain_files = /t/k.pem,\n    /t/c.pem\n"
                             "smtpd_tls_key_file = $smtpd_tls_cert_file\nsmtp_tls_cert_file = none\n"},
     "postfix", {"/t/k.pem", "/t/c.pem"}),
    ({"etc/dovecot/dovecot.conf": "!include conf.d/*.conf\n",
      "etc/dovecot/conf.d/10-ssl.conf": "ssl_cert = </t/c.pem\nssl_key=</t/k.pem\n"},
     "dovecot", {"/t/c.pem", "/t/k.pem"}),
    ({"etc/stunnel/a.conf": "; cert = /t/no.pem\ninclude = /etc/stunnel/d\n", "etc/stunnel/d/x": "cert = /t/c.pem\n"},
     "stunnel", {"/t/c.pem"}),
    ({"etc/postgresql/15/main/postgresql.conf":
      "data_directory = '/d'\nssl_cert_file = '/t/c.pem'  # x\n#ssl_key_file = '/t/k.pem'\nssl_key_file = 'k'\n",
      "d/k": ""}, "postgresql", {"/t/c.pem", "/d/k"}),
    ({"etc/letsencrypt/live/a/cert.pem": ""}, "letsencrypt", {"/etc/letsencrypt/live/a/cert.pem"}),
])
def test_what_each_service_names(tmp_path, files, service, wanted):
    put(tmp_path, {"t/c.pem": "", "t/k.pem": "", **files})
    assert {(each.service, each.real) for each in found_by(tmp_path).named} == {(service, each) for each in wanted}


def test_what_is_named_and_not_there_is_told(tmp_path):
    put(tmp_path, {"etc/nginx/nginx.conf": "ssl_certificate /t/$ssl_server_name.pem;\nssl_certificate_key k;\n"})
    found = found_by(tmp_path)
    assert [(each.path, each.real) for each in found.named] == [
        ("/t/$ssl_server_name.pem", None), ("/etc/nginx/k", None),
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_of_a_private_key_comes_out(tmp_path, key, shell):
    numbers = rsa.generate_private_key(65537, 2048)
    texts = {
        "pair": certificate(key) + pem(key),
        "before": pem(numbers, form=PrivateFormat.TraditionalOpenSSL) + certificate(numbers),
        "shut": pem(key, BestAvailableEncryption(b"x")),
        "old": pem(numbers, BestAvailableEncryption(b"x"), PrivateFormat.TraditionalOpenSSL),
        # Written by hand: no end of line between two blocks, a block without an end, a key in a certificate's block.
        "glued": certificate(key).rstrip() + pem(key),
        "open": certificate(key).rsplit("\n", 2)[0] + "\n" + pem(key),
        "false": pem(key).replace("PRIVATE KEY", "CERTIFICATE"),
    }
    put(tmp_path, {f"srv/{name}": text for name, text in texts.items()})
    said = said_by(tmp_path, shell, directories=["/srv"])
    parts = key.private_numbers().private_value, numbers.private_numbers().d, numbers.private_numbers().p
    secret = {piece for part in parts for piece in base64_of(part)}
    secret |= {line for name in ("shut", "old") for line in texts[name].splitlines() if len(line) == 64}
    assert len(secret) > 20
    assert [each for each in secret if each in said] == []
    assert "PRIVATE" not in said
    found = exposure.parse(said)
    assert {path: (len(file.certificates), *(file.keys or [None])) for path, file in found.files.items()} == {
        "/srv/pair": (1, digest(key)), "/srv/before": (1, digest(numbers)), "/srv/shut": (0, ENCRYPTED),
        "/srv/old": (0, ENCRYPTED), "/srv/glued": (1, digest(key)), "/srv/open": (0, digest(key)),
        "/srv/false": (0, None),
    }
    assert {path for path, file in found.files.items() if not file.known} == {"/srv/open", "/srv/false"}


def test_what_stands_beside_a_file_is_kept(tmp_path, key):
    put(tmp_path, {
        "etc/letsencrypt/archive/a/cert1.pem": certificate(key),
        "etc/letsencrypt/archive/a/cert2.pem": certificate(key, "b"),
        "etc/nginx/nginx.conf": "ssl_certificate /t/a.pem;", "t/a.pem": certificate(key, "c"),
        "t/a.pem.bak": certificate(key, "d"), "t/a.pem~": "no certificate", "t/other.pem": certificate(key, "e"),
        "t/a-2013.pem": certificate(key, "f"),
    })
    live = tmp_path / "etc/letsencrypt/live/a"
    live.mkdir(parents=True)
    (live / "cert.pem").symlink_to("../../archive/a/cert2.pem")
    found = found_by(tmp_path)
    assert {file.path: file.used for file in found.files.values()} == {
        "/t/a.pem": True, "/t/a.pem.bak": False, "/t/a-2013.pem": False,
        "/etc/letsencrypt/archive/a/cert2.pem": True, "/etc/letsencrypt/archive/a/cert1.pem": False,
    }


def test_a_chain_keeps_its_order_and_der_is_read(tmp_path, key):
    chain = [certificate(key, name) for name in ("z", "a", "m")]
    put(tmp_path, {
        "etc/nginx/nginx.conf": "ssl_certificate /t/chain;ssl_certificate /t/der;ssl_certificate /t/text;",
        "t/chain": "".join(chain), "t/der": certificate(key, "d", Encoding.DER), "t/text": "nothing of it",
    })
    found = found_by(tmp_path)
    read = map(x509.load_der_x509_certificate, found.files["/t/chain"].certificates)
    names = [each.subject.rfc4514_string() for each in read]
    assert names == ["CN=z", "CN=a", "CN=m"]
    assert len(found.files["/t/der"].certificates) == 1
    assert (found.files["/t/der"].known, found.files["/t/text"].known) == (True, False)


def test_host_keys_are_asked_for_where_libcrypto_leaked_alone(tmp_path):
    put(tmp_path, {
        "etc/ssh/ssh_host_ed25519_key":
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA root@x\n",
    })
    assert found_by(tmp_path).files == {}
    file, = found_by(tmp_path, libraries=["libcrypto"]).files.values()
    assert (file.host_key, file.keys) == (bytes(3), [])


@pytest.mark.parametrize("half", ["", "no key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_whose_public_half_is_not_what_it_seems_is_told(tmp_path, half):
    put(tmp_path, {"srv/id": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "srv/id.pub": half})
    assert found_by(tmp_path, directories=["/srv"]).files["/srv/id"].keys == [UNREAD]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_key_of_a_file_is_told(tmp_path, key, shell):
    """As postfix takes several in one, each with its chain; a line's end may be missing where they meet."""
    other, shut = ec.generate_private_key(ec.SECP256R1()), pem(key, BestAvailableEncryption(b"secret"))
    several = pem(key) + certificate(key) + pem(other) + certificate(other, "b") + shut
    put(tmp_path, {"etc/postfix/main.cf": "smtpd_tls_chain_files = /t/all, /t/glued\n", "t/all": several,
                   "t/glued": pem(key).rstrip() + pem(other).rstrip() + certificate(key)})
    files = found_by(tmp_path, shell).files
    assert files["/t/all"].keys == [digest(key), digest(other), ENCRYPTED]
    assert len(files["/t/all"].certificates) == 2
    assert files["/t/glued"].keys == [digest(key), digest(other)]


def test_processes_that_map_the_library_are_asked_what_they_have(tmp_path, key):
    put(tmp_path, {
        "proc/7/maps": "7f00-7f01 r--p 00000000 08:01 1 /usr/lib/libssl.so.3\n", "proc/7/comm": "myd\n",
        "proc/7/cmdline": "myd\0--cert=/t/c.pem\0/etc/passwd\0/t/k ey.pem\0",
        "proc/8/maps": "7f00-7f01 r--p 00000000 08:01 1 /usr/lib/libc.so.6\n", "proc/8/comm": "other\n",
        "proc/8/cmdline": "other\0/t/k.pem\0",
        "proc/9/maps": "7f00-7f01 r--p 00000000 08:01 1 /usr/lib/libssl.so.1.0.0 (deleted)\n", "proc/9/comm": "nginx\n",
        "proc/9/cmdline": "/bin/perl\0/bin/nginx\0-c\0/opt/n.conf\0", "bin/perl": b"\177ELF\0ssl_certificate x",
        "bin/nginx": "#!/bin/perl\nssl_certificate is not found", "opt/n.conf": "ssl_certificate k.pem;",
        "opt/k.pem": certificate(key, "k"), "t/c.pem": certificate(key), "t/k.pem": pem(key),
        "etc/passwd": "root:x:0:0::/:/bin/sh\n",
    })
    named = {(each.service, each.real) for each in found_by(tmp_path).named}
    assert named == {("myd", "/t/c.pem"), ("nginx", "/opt/k.pem")}


def test_dpkgs_log_says_which_version_came_when(tmp_path):
    day = "2026-01-02 03:04:05"
    old = f"{day} install libssl3:amd64 <none> 3.0.1\n{day} status installed libssl3:amd64 3.0.1\n"
    day = "2026-02-02 03:04:05"
    new = f"{day} upgrade libssl3:amd64 3.0.1 3.0.2\n{day} upgrade bash:amd64 1 2\nrubbish\n" \
          f"2026-02-02 03:04:06 remove libssl1.1:amd64 1.1.1n <none>\n"
    put(tmp_path, {
        "var/log/dpkg.log": new, "var/log/dpkg.log.2.gz": gzip.compress(old.encode()),
        "var/lib/dpkg/info/libssl3:amd64.list": "", "var/lib/dpkg/info/bash.list": "",
    })
    os.utime(tmp_path / "var/lib/dpkg/info/libssl3:amd64.list", (1_700_000_000, 1_700_000_000))
    found = found_by(tmp_path)
    assert [(event.at, event.package, event.before, event.version) for event in found.events] == [
        (1767323045, "libssl3", None, "3.0.1"), (1770001445, "libssl3", "3.0.1", "3.0.2"),
        (1770001446, "libssl1.1", "1.1.1n", None),
    ]
    assert found.lists == {"libssl3": 1_700_000_000}


def test_rpms_logs_say_it_too(tmp_path):
    put(tmp_path, {
        "var/log/dnf.rpm.log": "2026-01-02T03:04:05+0100 SUBDEBUG Upgrade: openssl-1:3.0.7-24.el9.x86_64\n"
                               "2026-01-02T03:04:05+0100 SUBDEBUG Upgraded: openssl-1:3.0.7-23.el9.x86_64\n"
                               "2026-01-02T03:04:05+0100 SUBDEBUG Upgrade: bash-5-1.x86_64\n",
        "var/log/yum.log": "Dec 30 01:00:00 Updated: openssl-1.0.1e-16.el6_5.7.x86_64\n"
                           "Jan 02 01:00:00 Installed: 1:openssl-devel-1.0.1e-16.el6_5.7.x86_64\n",
    })
    written = int(datetime(2014, 1, 2, 2, tzinfo=UTC).timestamp())
    os.utime(tmp_path / "var/log/yum.log", (written, written))
    put(tmp_path, {"bin/rpm": "#!/bin/sh\n"})
    (tmp_path / "bin/rpm").chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}/bin:{before}"
    try:
        found = found_by(tmp_path)
    finally:
        os.environ["PATH"] = before
    said = [(datetime.fromtimestamp(event.at, UTC).isoformat(), event.package, event.version) for event in found.events]
    assert said == [
        ("2013-12-30T01:00:00+00:00", "openssl", "0:1.0.1e-16.el6_5.7"),
        ("2014-01-02T01:00:00+00:00", "openssl-devel", "1:1.0.1e-16.el6_5.7"),
        ("2026-01-02T02:04:05+00:00", "openssl", "1:3.0.7-24.el9"), ("2026-01-02T02:04:05+00:00", "openssl", None),
    ]
    assert found.events[-1].before == "1:3.0.7-23.el9"


def test_a_leap_day_in_a_log_without_years_is_the_last_one():
    written = int(datetime(2014, 3, 1, tzinfo=UTC).timestamp())
    line = f"yum\t{written}\tFeb 29 01:00:00\tUpdated\topenssl-1.0.1e-16.x86_64\nend\n"
    event, = exposure.parse(HEAD + line).events
    assert datetime.fromtimestamp(event.at, UTC) == datetime(2012, 2, 29, 1, tzinfo=UTC)


def test_a_node_without_openssl_says_so(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("date", "sed", "tr", "grep", "cut", "sort", "tail", "head", "dash"):
        (tools / name).symlink_to(shutil.which(name))
    program = exposure.command().replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "")
    done = subprocess.run(
        [tools / "dash", "-s"], input=program, capture_output=True, text=True, check=True,
        env={"PATH": str(tools), "EXPOSURE_ROOT": str(tmp_path), "PROC_ROOT": str(tmp_path)},
    )
    found = exposure.parse(done.stdout)
    assert (found.mute, found.files) == (True, {})


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_users_file_is_read_by_no_openssl_of_roots(tmp_path, key):
    put(tmp_path, {"srv/mine": certificate(key) + pem(key), "srv/theirs": certificate(key, "b") + pem(key)})
    shutil.chown(tmp_path / "srv/theirs", "nobody")
    (tmp_path / "srv").chmod(0o700)
    found = found_by(tmp_path, directories=["/srv"])
    assert files_of(found) == {"/srv/mine": (True, 1, digest(key)), "/srv/theirs": (True, 1, digest(key))}
    os.chown(tmp_path / "srv/theirs", 3_000_000, 3_000_000)  # nobody's name
    found = found_by(tmp_path, directories=["/srv"])
    assert files_of(found)["/srv/theirs"] == (True, 0, UNREAD)
    assert not found.files["/srv/theirs"].known


def test_a_certificate_of_a_megabyte_is_none(tmp_path, key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    more = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(100_000))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now).not_valid_after(now).add_extension(more, critical=False).sign(key, SHA256())
    )
    put(tmp_path, {"srv/a": made.public_bytes(Encoding.PEM)})
    file, = found_by(tmp_path, directories=["/srv"]).files.values()
    assert (file.certificates, file.known) == ([], False)


@pytest.mark.parametrize("rest", [
    "", "end", "other\t/x\nend\nmore\n", "file\t/x\tyesterday\tused\t0\nend\n", "key\t/x\tabc\nend\n",
    "certificate\t/x\tAA=A\nend\n",
    "named\tnginx\t/a\nend\n", "what\nend\n", f"key\t/x\t{'0' * 64}\nend\n",
    "file\t/x\t999999999999\tused\t0\nend\n", "dnf\t0001-01-01T00:00:00+0000\tUpgrade\topenssl-1-1.x\nend\n",
    "file\t/x\t1\tused\t0\ncertificate\t/x\tA\nend\n", "dnf\t2026-13-02T03:04:05+0100\tUpgrade\topenssl-1-1.x\nend\n",
    "yum\t1\tFeb 31 00:00:00\tUpdated\topenssl-1-1.x\nend\n",
])
def test_an_answer_that_is_not_whole_or_not_of_the_form_is_refused(rest):
    with pytest.raises(ProbeError):
        exposure.parse(HEAD + rest)


def test_an_answer_without_the_time_is_refused():
    with pytest.raises(ProbeError, match="what time it has"):
        exposure.parse("styptic-exposure 1\nmute\nend\n")


def test_a_directory_that_is_no_plain_path_is_refused():
    for wrong in ("srv", "/a b", "/a\n/b", "/$(id)"):
        with pytest.raises(ValueError, match="no absolute path"):
            exposure.command(directories=[wrong])


def test_the_data_is_whole_and_each_row_has_its_source():
    rows = secrets.load()
    services = {"nginx", "apache2", "haproxy", "postfix", "dovecot", "stunnel", "postgresql", "sshd", "letsencrypt",
                "chef-client"}
    assert services == set(rows)
    assert all(row.source for row in rows.values())
    assert [row.name for row in rows.values() if row.library == "libcrypto"] == ["sshd"]


@pytest.mark.parametrize(("text", "mistake"), [
    ("[a]\nsource = 's'\n", r"files: is missing"), ("[a]\nusual = ['/x']\n", r"source: is missing"),
    ("[a]\nsource = 's'\nusual = ['x']\n", "do not belong there"),
    ("[a]\nsource = 's'\nusual = ['/x']\nz = 1\n", "no key here"),
    ("[a]\nsource = 's'\nusual = ['/x']\nlibrary = 'libz'\n", "none of libssl, libcrypto"),
    ("[", "cannot be read"),
    ("[a]\nsource = 's'\nconfig = ['/c']\nfiles = ['a/b']\n", "do not belong there"),
])
def test_mistakes_in_the_data_are_named(tmp_path, text, mistake):
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    with pytest.raises(AdvisoryError, match=mistake):
        secrets.load(path)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_shellcheck_is_content():
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-"], input=exposure.command(["libcrypto"], ["/srv"]), capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 0, done.stdout


