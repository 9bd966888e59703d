# The packages that are OpenSSL, the tool and the library, by platform family. Those a node has are upgraded, and no other.
default['openssl_patch']['packages']['amazon'] = ['openssl', 'openssl-libs', 'openssl098e', 'openssl11', 'openssl11-libs']
default['openssl_patch']['packages']['debian'] = ['openssl', 'libssl0.9.8', 'libssl1.0.0', 'libssl1.0.2', 'libssl1.1', 'libssl3', 'libssl3t64', 'libssl4']
default['openssl_patch']['packages']['fedora'] = ['openssl', 'openssl-libs', 'compat-openssl10', 'compat-openssl11']
default['openssl_patch']['packages']['rhel'] = ['openssl', 'openssl-libs', 'openssl097a', 'openssl098e', 'compat-openssl10', 'compat-openssl11']
default['openssl_patch']['packages']['suse'] = ['openssl', 'libopenssl0_9_8', 'libopenssl1_0_0', 'libopenssl1_1', 'libopenssl3']

# Stems of the library files that a stale process maps.
default['openssl_patch']['libraries'] = ['libcrypto', 'libssl']

# What is done to each service while it is stale, the gentlest first. One that is not here, or has no step, is never
# touched.
default['openssl_patch']['services']['apache2'] = {
  'names' => ['apache2', 'httpd'],
  'test' => ['apachectl', 'configtest'],
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
  'names' => ['dbus', 'dbus-broker', 'messagebus'],
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
default['openssl_patch']['services']['haproxy'] = {
  'names' => ['haproxy'],
  'test' => ['haproxy', '-c', '-q', '-f', '/etc/haproxy/haproxy.cfg'],
  'steps' => [
    { 'do' => 'reload', 'pid_file' => '/run/haproxy.pid', 'end' => 'TERM' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['mysql'] = {
  'names' => ['mysql', 'mariadb', 'mysqld'],
  'test' => [],
  'steps' => [],
  'because' => 'it ends every session of a database, and may make a replica the primary',
}
default['openssl_patch']['services']['nginx'] = {
  'names' => ['nginx'],
  'test' => ['nginx', '-t', '-q'],
  'steps' => [
    { 'do' => 'upgrade', 'pid_file' => '/run/nginx.pid', 'old_suffix' => '.oldbin', 'begin' => 'USR2', 'finish' => ['WINCH', 'QUIT'], 'end' => 'TERM' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['openvpn'] = {
  'names' => ['openvpn', 'openvpn-server', 'openvpn-client'],
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
  'names' => ['ssh', 'sshd'],
  'test' => ['/usr/sbin/sshd', '-t'],
  'steps' => [
    { 'do' => 'reload' },
    { 'do' => 'restart' },
  ],
  'because' => nil,
}
default['openssl_patch']['services']['stunnel4'] = {
  'names' => ['stunnel4', 'stunnel'],
  'test' => [],
  'steps' => [
    { 'do' => 'restart' },
  ],
  'because' => nil,
}

# Package lists that are older, in seconds, are fetched again before the upgrade.
default['openssl_patch']['refresh_seconds'] = 60

# Seconds to wait for a refreshed service's old processes to go.
default['openssl_patch']['settle_seconds'] = 10

# Seconds that old processes have for what they have begun, where a step has an `end`. They are stale after that.
default['openssl_patch']['drain_seconds'] = 60

# What this version was rendered for.
default['openssl_patch']['advisories'] = ['CVE-2014-0160']
