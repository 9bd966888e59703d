# The packages that are OpenSSL, the tool and the library, by platform family. Those a node has are upgraded, and no other.
default['openssl_patch']['packages']['amazon'] = ['openssl', 'openssl-libs', 'openssl098e', 'openssl11', 'openssl11-libs']
default['openssl_patch']['packages']['debian'] = ['openssl', 'libssl0.9.8', 'libssl1.0.0', 'libssl1.0.2', 'libssl1.1', 'libssl3', 'libssl3t64', 'libssl4']
default['openssl_patch']['packages']['fedora'] = ['openssl', 'openssl-libs', 'compat-openssl10', 'compat-openssl11']
default['openssl_patch']['packages']['rhel'] = ['openssl', 'openssl-libs', 'openssl097a', 'openssl098e', 'compat-openssl10', 'compat-openssl11']
default['openssl_patch']['packages']['suse'] = ['openssl', 'libopenssl0_9_8', 'libopenssl1_0_0', 'libopenssl1_1', 'libopenssl3']

# Stems of the library files that a stale process maps.
default['openssl_patch']['libraries'] = ['libcrypto', 'libssl']

# How each service is refreshed. One that is not here is never touched.
default['openssl_patch']['services']['apache2'] = {
  'names' => ['apache2', 'httpd'],
  'reload_is_enough' => false,
  'restart' => true,
  'test' => ['apachectl', 'configtest'],
}
default['openssl_patch']['services']['haproxy'] = {
  'names' => ['haproxy'],
  'reload_is_enough' => true,
  'restart' => true,
  'test' => ['haproxy', '-c', '-q', '-f', '/etc/haproxy/haproxy.cfg'],
}
default['openssl_patch']['services']['nginx'] = {
  'names' => ['nginx'],
  'reload_is_enough' => false,
  'restart' => true,
  'test' => ['nginx', '-t', '-q'],
}
default['openssl_patch']['services']['postgresql'] = {
  'names' => ['postgresql'],
  'reload_is_enough' => false,
  'restart' => false,
  'test' => [],
}
default['openssl_patch']['services']['ssh'] = {
  'names' => ['ssh', 'sshd'],
  'reload_is_enough' => true,
  'restart' => true,
  'test' => ['/usr/sbin/sshd', '-t'],
}
default['openssl_patch']['services']['stunnel4'] = {
  'names' => ['stunnel4', 'stunnel'],
  'reload_is_enough' => false,
  'restart' => true,
  'test' => [],
}

# Package lists that are older, in seconds, are fetched again before the upgrade.
default['openssl_patch']['refresh_seconds'] = 60

# Seconds to wait for a refreshed service's old processes to go.
default['openssl_patch']['settle_seconds'] = 10

# What this version was rendered for.
default['openssl_patch']['advisories'] = ['CVE-2014-0160']
