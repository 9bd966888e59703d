# The packages that the advisories are about, OpenSSL's tool and library say, by platform family. Those a node has are
# upgraded, and no other.
default['openssl_patch']['packages']['amazon'] = %w(openssl openssl-libs openssl098e openssl11 openssl11-libs)
default['openssl_patch']['packages']['debian'] = %w(openssl libssl0.9.8 libssl1.0.0 libssl1.0.2 libssl1.1 libssl3 libssl3t64 libssl4)
default['openssl_patch']['packages']['fedora'] = %w(openssl openssl-libs compat-openssl10 compat-openssl11)
default['openssl_patch']['packages']['rhel'] = %w(openssl openssl-libs openssl097a openssl098e compat-openssl10 compat-openssl11)
default['openssl_patch']['packages']['suse'] = %w(openssl libopenssl0_9_8 libopenssl1_0_0 libopenssl1_1 libopenssl3)

# What goes along in the same upgrade where it is installed, because it demands the library's very version.
default['openssl_patch']['companions']['amazon'] = %w(openssl-devel openssl-perl openssl-static openssl11-devel openssl11-static)
default['openssl_patch']['companions']['debian'] = %w(libssl-dev libssl0.9.8-dbg libssl1.0-dev libssl1.0.0-dbg openssl-provider-legacy)
default['openssl_patch']['companions']['fedora'] = %w(compat-openssl10-devel compat-openssl11-devel openssl-devel openssl-perl openssl-static)
default['openssl_patch']['companions']['rhel'] = %w(openssl-devel openssl-perl openssl-static)
default['openssl_patch']['companions']['suse'] = ['libopenssl-devel']

# The versions that each advisory calls fixed, by release: a node that is below one after its upgrade fails its run. See
# README.md for what a row holds. Where there is none, it has to be the newest that its repositories offer.
default['openssl_patch']['minimum']['CVE-2014-0160'] = {
  'packages' => nil,
  'upstream' => { 'affected' => [%w(1.0.1 1.0.1f)], 'before' => [], 'since' => '1.0.1', 'fixed' => [%w(1.0.1g 1.0.1)] },
  'fixed' => [
    { 'distro' => 'ubuntu', 'release' => '12.04', 'stream' => '', 'packages' => %w(openssl libssl1.0.0), 'version' => '1.0.1-4ubuntu5.12', 'advisory' => 'USN-2165-1' },
    { 'distro' => 'ubuntu', 'release' => '12.10', 'stream' => '', 'packages' => %w(openssl libssl1.0.0), 'version' => '1.0.1c-3ubuntu2.7', 'advisory' => 'USN-2165-1' },
    { 'distro' => 'ubuntu', 'release' => '13.10', 'stream' => '', 'packages' => %w(openssl libssl1.0.0), 'version' => '1.0.1e-3ubuntu1.2', 'advisory' => 'USN-2165-1' },
    { 'distro' => 'rhel', 'release' => '6', 'stream' => '', 'packages' => ['openssl'], 'version' => '0:1.0.1e-16.el6_5.7', 'advisory' => 'RHSA-2014:0376' },
    { 'distro' => 'amazon', 'release' => '1', 'stream' => '', 'packages' => ['openssl'], 'version' => '1:1.0.1e-37.66.amzn1', 'advisory' => 'ALAS-2014-320' },
    { 'distro' => 'fedora', 'release' => '20', 'stream' => '', 'packages' => %w(openssl openssl-libs), 'version' => '1.0.1e-37.fc20.1', 'advisory' => 'FEDORA-2014-4879' },
    { 'distro' => 'fedora', 'release' => '19', 'stream' => '', 'packages' => %w(openssl openssl-libs), 'version' => '1.0.1e-37.fc19.1', 'advisory' => 'FEDORA-2014-4910' },
    { 'distro' => 'opensuse', 'release' => '12.3', 'stream' => '', 'packages' => %w(openssl libopenssl1_0_0), 'version' => '1.0.1e-1.44.1', 'advisory' => 'openSUSE-SU-2014:0492-1' },
    { 'distro' => 'opensuse', 'release' => '12.3', 'stream' => '', 'packages' => ['libopenssl1_0_0'], 'version' => '1.0.1e-1.44.1', 'advisory' => 'openSUSE-SU-2014:0492-1' },
    { 'distro' => 'opensuse', 'release' => '13.1', 'stream' => '', 'packages' => %w(openssl libopenssl1_0_0), 'version' => '1.0.1e-11.32.1', 'advisory' => 'openSUSE-SU-2014:0492-1' },
    { 'distro' => 'opensuse', 'release' => '13.1', 'stream' => '', 'packages' => ['libopenssl1_0_0'], 'version' => '1.0.1e-11.32.1', 'advisory' => 'openSUSE-SU-2014:0492-1' },
    { 'distro' => 'debian', 'release' => '7', 'stream' => '', 'packages' => %w(openssl libssl1.0.0), 'version' => '1.0.1e-2+deb7u5', 'advisory' => 'DSA-2896-1' },
  ],
  'never_fixed' => [],
  'not_affected' => [
    { 'distro' => 'ubuntu', 'release' => '10.04', 'stream' => '', 'packages' => %w(openssl libssl0.9.8), 'reason' => 'code not present' },
    { 'distro' => 'rhel', 'release' => '5', 'stream' => '', 'packages' => ['openssl'], 'reason' => 'not affected (0.9.8)' },
    { 'distro' => 'rhel', 'release' => '6', 'stream' => '', 'packages' => ['openssl'], 'minors' => %w(6.0 6.1 6.2 6.3 6.4), 'reason' => 'openssl 1.0.0, not affected' },
    { 'distro' => 'rhel', 'release' => '7', 'stream' => '', 'packages' => %w(openssl openssl-libs), 'reason' => 'GA not affected (beta was)' },
    { 'distro' => 'rhel', 'release' => '6', 'stream' => '', 'packages' => ['openssl098e'], 'reason' => 'not affected' },
  ],
}

# Stems of the library files that a stale process maps.
default['openssl_patch']['libraries'] = %w(libcrypto libssl)

# What is done to each service while it is stale, the gentlest first. One that is not here, or has no step, is never
# touched.
default['openssl_patch']['services']['apache2'] = {
  'names' => %w(apache2 httpd),
  'test' => %w(apachectl configtest),
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['corosync'] = {
  'names' => ['corosync'],
  'test' => [],
  'steps' => [],
  'because' => 'the node leaves its cluster, Pacemaker with it',
}
default['openssl_patch']['services']['dbus'] = {
  'names' => %w(dbus dbus-broker messagebus),
  'test' => [],
  'steps' => [],
  'because' => 'all that is connected to the bus loses it',
}
default['openssl_patch']['services']['docker'] = {
  'names' => ['docker'],
  'test' => [],
  'steps' => [],
  'because' => 'it stops the containers, unless live restore is on',
}
default['openssl_patch']['services']['dovecot'] = {
  'names' => ['dovecot'],
  'test' => %w(doveconf protocols),
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['haproxy'] = {
  'names' => ['haproxy'],
  'test' => %w(haproxy -c -q -f /etc/haproxy/haproxy.cfg),
  'steps' => [
    { 'do' => 'reload', 'pid_file' => '/run/haproxy.pid', 'end' => 'TERM' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['mysql'] = {
  'names' => %w(mysql mariadb mysqld),
  'test' => [],
  'steps' => [],
  'because' => 'it ends every session of a database, and may make a replica the primary',
}
default['openssl_patch']['services']['named'] = {
  'names' => %w(named bind9),
  'test' => ['named-checkconf'],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['nginx'] = {
  'names' => ['nginx'],
  'test' => %w(nginx -t -q),
  'steps' => [
    { 'do' => 'upgrade', 'pid_file' => '/run/nginx.pid', 'old_suffix' => '.oldbin', 'begin' => 'USR2', 'finish' => %w(WINCH QUIT), 'end' => 'TERM' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['openvpn'] = {
  'names' => %w(openvpn openvpn-server openvpn-client),
  'test' => [],
  'steps' => [],
  'because' => 'it ends its tunnels, of which one may be the way to the node',
}
default['openssl_patch']['services']['postgresql'] = {
  'names' => ['postgresql'],
  'test' => [],
  'steps' => [],
  'because' => 'it ends every session of a database, and may make a standby the primary',
}
default['openssl_patch']['services']['ssh'] = {
  'names' => %w(ssh sshd),
  'test' => %w(/usr/sbin/sshd -t),
  'steps' => [
    { 'do' => 'reload' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['stunnel4'] = {
  'names' => %w(stunnel4 stunnel),
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-hostnamed'] = {
  'names' => ['systemd-hostnamed'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-journald'] = {
  'names' => ['systemd-journald'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => 'every service\'s standard output would lead nowhere after its restart',
  'systemd' => 220,
  'spares_graphical' => false,
}
default['openssl_patch']['services']['systemd-localed'] = {
  'names' => ['systemd-localed'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-logind'] = {
  'names' => ['systemd-logind'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => 'it would lose the devices of graphical sessions, which end',
  'systemd' => 234,
  'spares_graphical' => true,
}
default['openssl_patch']['services']['systemd-networkd'] = {
  'names' => ['systemd-networkd'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-oomd'] = {
  'names' => ['systemd-oomd'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-resolved'] = {
  'names' => ['systemd-resolved'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-timedated'] = {
  'names' => ['systemd-timedated'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-timesyncd'] = {
  'names' => ['systemd-timesyncd'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['systemd-udevd'] = {
  'names' => %w(systemd-udevd udev),
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['unbound'] = {
  'names' => ['unbound'],
  'test' => ['unbound-checkconf'],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}

# How far a stale service is gone after: gentle, restart or none.
default['openssl_patch']['strategy'] = 'gentle'

# Package lists that are older, in seconds, are fetched again before the upgrade.
default['openssl_patch']['refresh_seconds'] = 60

# Seconds to wait for somebody else's apt or dpkg to end before the upgrade.
default['openssl_patch']['lock_seconds'] = 120

# Amazon Linux 2023 upgrades only within the release it has; a later one's name (2023.6.20250218), or latest, goes there.
default['openssl_patch']['releasever'] = nil

# Seconds to wait for a refreshed service's old processes to go.
default['openssl_patch']['settle_seconds'] = 10

# Seconds that old processes have for what they have begun, where a step has an `end`. They are stale after that.
default['openssl_patch']['drain_seconds'] = 60

# What this version was rendered for.
default['openssl_patch']['advisories'] = ['CVE-2014-0160']

# Whether one of them is about what only a reboot changes, a kernel or libc: such a node owes one once that has changed.
default['openssl_patch']['reboot'] = false
