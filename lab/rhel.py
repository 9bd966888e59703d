"""What makes a node one of the Red Hat family: rpm and dnf, OpenSSL as rpms, and the names that CentOS 6 gives things.

The system below is Debian: its programs run the services, under Red Hat's names for them. The rpms are lab equipment,
named and numbered as in RHSA-2014:0376, so that Heartbleed's own row is what patches the node; what they carry is the
base's own OpenSSL, which every program of the node maps, and which an upgrade really replaces. dpkg and apt are gone.
"""

from lab import full

#: An older build, and that of CVE-2014-0160's row for rhel 6.
VULNERABLE, FIXED = "1.0.1e-16.el6_5.4", "1.0.1e-16.el6_5.7"
#: The compatibility package beside it, which Heartbleed does not affect; the newer build is that of RHSA-2014:0626.
COMPAT = ("0.9.8e-17.el6_2.2", "0.9.8e-18.el6_5.2")

#: Debian's names of services to Red Hat's.
NAMES = {"ssh": "sshd", "apache2": "httpd", "stunnel4": "stunnel"}
SERVICES = tuple(NAMES.get(name, name) for name in full.SERVICES)
PACKAGES = (*full.PACKAGES, "rpm", "dnf", "dnf-plugins-core", "createrepo-c")
#: Its mirror, writable: a test may take it away or change it, and createrepo_c(8) is there.
REPOSITORY = "/srv/rpm"

SETTLE = f"""{full.SETTLE}
rename() {{ # the service $1 becomes $2
    update-rc.d -f "$1" remove
    mv "/etc/init.d/$1" "/etc/init.d/$2"
    sed -i "/^# Provides:/s/.*/# Provides: $2/" "/etc/init.d/$2"
    update-rc.d "$2" defaults
    unit=/lib/systemd/system/$1.service
    [ -e "$unit" ] || return 0
    systemctl --quiet disable "$1"
    sed '/^Alias=/d' "$unit" >"/lib/systemd/system/$2.service"
    rm "$unit"
    systemctl --quiet enable "$2"
}}
{"".join(f"rename {old} {new}" + chr(10) for old, new in NAMES.items())}
# Where Red Hat's httpd has its process id.
sed -i -e 's|/var/run/apache2$SUFFIX/apache2.pid|/run/httpd/httpd.pid|' -e 's|/var/run/apache2$SUFFIX|/run/httpd|' \\
    /etc/apache2/envvars
"""

#: Run in the base, as root, after all else: takes dpkg away, which everything before may have needed.
TURN = r"""
work=$(mktemp -d)
mkdir -p @REPOSITORY@ /usr/lib64 /etc/yum.repos.d

# rpm_of NAME VERSION-RELEASE [TAG...]: makes a package of what lies below $work/files, with these lines in its spec.
rpm_of() {
    name=$1 version=$2
    shift 2
    (cd "$work/files" && find . ! -type d | sed 's/^\.//') >"$work/list"
    {
        printf 'Name: %s\nVersion: %s\nRelease: %s\n' "$name" "${version%%-*}" "${version#*-}"
        printf '%s\n' "Summary: Lab equipment in the place of $name" 'License: none' 'AutoReqProv: no' "$@"
        printf '%%description\nLab equipment.\n%%install\ncp -a %s/files/. %%{buildroot}/\n' "$work"
        printf '%%files -f %s/list\n' "$work"
    } >"$work/spec"
    rpmbuild -bb --quiet --target "$(uname -m)" --define "_topdir $work" --define '_rpmdir @REPOSITORY@' \
        --define 'debug_package %{nil}' --define '__os_install_post %{nil}' --define '_build_id_links none' "$work/spec"
    rm -rf "$work/files"
}

mkdir -p "$work/files/etc"
echo 'CentOS release 6.5 (Final)' >"$work/files/etc/redhat-release"
rpm_of centos-release 6-5.el6.centos.11.1 'Provides: redhat-release = 6' 'Provides: system-release = 6'
mkdir -p "$work/files/usr/lib/rpm/lab" # the database of every such machine has rpm itself in it
echo 'lab equipment: the program is that of Debian' >"$work/files/usr/lib/rpm/lab/README"
rpm_of rpm 4.8.0-37.el6
for version in @VULNERABLE@ @FIXED@; do
    mkdir -p "$work/files/usr/lib64" "$work/files/usr/bin"
    cp /usr/bin/openssl "$work/files/usr/bin"
    for name in libssl.so.3 libcrypto.so.3; do
        cp -L /usr/lib/*-linux-gnu/$name "$work/files/usr/lib64"
        printf '\0lab %s %s\0' $name $version >>"$work/files/usr/lib64/$name" # no two builds are the same file
    done
    rpm_of openssl $version
    mkdir -p "$work/files/usr/include/openssl"
    echo "/* lab equipment: $version */" >"$work/files/usr/include/openssl/opensslv.h"
    rpm_of openssl-devel $version "Requires: openssl = $version"
done
for version in @COMPAT@; do
    mkdir -p "$work/files/usr/share/openssl098e"
    echo "$version" >"$work/files/usr/share/openssl098e/version"
    rpm_of openssl098e $version
done
mv @REPOSITORY@/*/*.rpm @REPOSITORY@
rmdir @REPOSITORY@/*/
createrepo_c --quiet @REPOSITORY@
rm -rf "$work"

# What an administrator of such a machine finds.
cat >/etc/yum.repos.d/lab.repo <<'C'
[lab]
name=the lab's mirror
baseurl=file://@REPOSITORY@
gpgcheck=0
C
printf '[main]\ngpgcheck=0\nbest=True\nclean_requirements_on_remove=True\n' >/etc/dnf/dnf.conf
printf '[main]\nenabled=0\n' >/etc/dnf/plugins/local.conf # it would make a mirror of its own of what was installed
[ -e /usr/bin/yum ] || ln -s dnf /usr/bin/yum
cat >/usr/lib/os-release <<'C'
PRETTY_NAME="CentOS release 6.5 (Final)"
NAME="CentOS"
VERSION="6.5 (Final)"
VERSION_ID="6"
ID="centos"
ID_LIKE="rhel fedora"
C
ln -sf ../usr/lib/os-release /etc/os-release
rm -f /etc/debian_version

# The rpms' library takes the place of Debian's.
rpm --install @REPOSITORY@/centos-release-*.rpm @REPOSITORY@/rpm-*.rpm @REPOSITORY@/openssl*-@VULNERABLE@.*.rpm \
    @REPOSITORY@/openssl098e-@OLDCOMPAT@.*.rpm --replacefiles
echo /usr/lib64 >/etc/ld.so.conf.d/00-lib64.conf
rm -f /usr/lib/*-linux-gnu/libssl.so.3 /usr/lib/*-linux-gnu/libcrypto.so.3
ldconfig
dnf --quiet makecache

rm -rf /usr/bin/dpkg* /usr/bin/apt* /usr/lib/apt /var/lib/dpkg /var/lib/apt /var/cache/apt /etc/apt /etc/dpkg
""".replace("@REPOSITORY@", REPOSITORY).replace("@VULNERABLE@", VULNERABLE).replace("@FIXED@", FIXED).replace(
    "@COMPAT@", " ".join(COMPAT)).replace("@OLDCOMPAT@", COMPAT[0])
