"""What makes a node one with every service of generator/services.toml that Debian has: their configurations.

Each answers TLS on a port of its own with Debian's self-signed certificate, so that all of them run side by side.
"""

SERVICES = ("nginx", "apache2", "haproxy", "stunnel4", "postgresql")
#: Services of the data that are never restarted; they are there, and do not start by themselves. openvpn has no tunnel.
IDLE = ("mariadb", "openvpn", "corosync")
#: Others of the data that are refreshed; a test starts those it wants.
ASLEEP = ("dovecot", "named", "unbound")
#: What a Debian that was installed runs beside: systemd's own daemons, and what has logind know of each login.
MACHINE = ("udev", "systemd-timesyncd", "systemd-resolved", "libpam-systemd")
PACKAGES = (*SERVICES, "mariadb-server", "openvpn", "corosync", "dovecot-imapd", "bind9", "unbound", *MACHINE,
            "ssl-cert", "curl")
#: The port on which each answers a TLS handshake; PostgreSQL's begins in its own protocol, and is not asked.
TLS = {"nginx": 443, "apache2": 8443, "haproxy": 7443, "stunnel4": 6443}
PORTS = (*TLS.values(), 5432)

#: Run in the base, as root. The certificate and its key in one file, as haproxy and stunnel4 want it; stunnel4 reads it
#: again at a reload, and is not root by then.
SETTLE = r"""
pair=/etc/ssl/private/lab-pair.pem
(umask 077; cat /etc/ssl/certs/ssl-cert-snakeoil.pem /etc/ssl/private/ssl-cert-snakeoil.key >$pair)

echo 'ServerName lab' >/etc/apache2/conf-available/lab.conf
echo 'Listen 8443' >/etc/apache2/ports.conf
sed -i 's/:443>/:8443>/' /etc/apache2/sites-available/default-ssl.conf
a2enmod -q ssl
a2dissite -q 000-default
a2ensite -q default-ssl
a2enconf -q lab

cat >/etc/haproxy/haproxy.cfg <<C
global
    daemon
    user haproxy
    group haproxy
    maxconn 1000
defaults
    mode http
    timeout client 60s
frontend lab
    bind :7443 ssl crt $pair
    bind 127.0.0.1:8080
    http-request return status 200 content-type text/plain string ok
C

install -o stunnel4 -m 600 $pair /etc/stunnel/lab.pem
cat >/etc/stunnel/lab.conf <<C
pid = /run/stunnel4/lab.pid
output = /var/log/stunnel4/lab.log
setuid = stunnel4
setgid = stunnel4
[lab]
accept = 6443
connect = 127.0.0.1:8080
cert = /etc/stunnel/lab.pem
C
update-rc.d stunnel4 enable

cat >/etc/corosync/corosync.conf <<'C'
totem {
    version: 2
    cluster_name: lab
    transport: knet
    crypto_model: openssl
    crypto_cipher: aes256
    crypto_hash: sha256
}
nodelist {
    node {
        name: lab
        nodeid: 1
        ring0_addr: 127.0.0.1
    }
}
quorum {
    provider: corosync_votequorum
}
logging {
    to_syslog: yes
}
C
corosync-keygen -l -k /etc/corosync/authkey

printf 'server:\n    interface: 127.0.0.1@5353\n' >/etc/unbound/unbound.conf.d/lab.conf
systemctl --quiet disable unbound-resolvconf

for name in mariadb openvpn corosync dovecot named unbound; do
    update-rc.d "$name" disable
    systemctl --quiet disable "$name"
done

for place in /etc/postgresql/*/main; do
    echo "listen_addresses = '*'" >"$place/conf.d/lab.conf"
done
"""
