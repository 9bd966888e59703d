# A node's first process, until it becomes the node's own init: systemd, or tini with services started by service(8).
# Runs in mount, uts, ipc, net and pid namespaces of its own, at every boot of the node. Takes from its environment ROOT
# (the mounted overlay), INIT (systemd or sysv), NAME, ADDRESS, WIDTH (of the network), HARDWARE (Ethernet address), HOLDER
# (a process id), IDENTITY, REPOSITORY, CLIENT, RC and TINI (paths). Keeps its process id in IDENTITY/pid once the network
# is up, then prints it, and nothing else.
set -eu
read -r pid _ </proc/self/stat # /proc is still the machine's, so this is the machine's number

hostname "$NAME"
mount -t proc -o nosuid,nodev,noexec proc "$ROOT/proc"
echo 1 >"$ROOT/proc/sys/net/ipv6/conf/all/disable_ipv6" || true # a kernel without IPv6 has no such file
# The other end is given by path: this process knows no numbers of the holder's PID namespace.
ip link add eth0 address "$HARDWARE" type veth peer name "n$ADDRESS" netns "/proc/$HOLDER/ns/net"
nsenter --net="/proc/$HOLDER/ns/net" ip link set "n$ADDRESS" master br0 up
ip -batch - <<I
link set lo up
addr add $ADDRESS/$WIDTH dev eth0
link set eth0 up
I

mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$ROOT/sys"
if [ "$INIT" = systemd ]; then
    mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
fi
mount -t tmpfs -o mode=755,size=64k dev "$ROOT/dev"
mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
for device in null zero full random urandom tty; do
    : >"$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
ln -s fd/0 "$ROOT/dev/stdin"
ln -s fd/1 "$ROOT/dev/stdout"
ln -s fd/2 "$ROOT/dev/stderr"
mount -t tmpfs -o mode=1777 shm "$ROOT/dev/shm"
mount -t tmpfs -o mode=755,size=256m run "$ROOT/run"
mkdir -m 1777 "$ROOT/run/lock"
mkdir -p "$ROOT/srv/repo" "$ROOT/opt/chef-client"
mount --bind -o ro "$REPOSITORY" "$ROOT/srv/repo"
mount --bind -o ro "$CLIENT" "$ROOT/opt/chef-client"
cp "$TINI" "$ROOT/run/tini"
cp "$RC" "$ROOT/run/rc"

# The kernel has one boot id for the whole machine, and a node that boots anew has a new one, see random(4).
cat /proc/sys/kernel/random/uuid >"$ROOT/run/boot_id"
mount --bind -o ro "$ROOT/run/boot_id" "$ROOT/proc/sys/kernel/random/boot_id"
rm "$ROOT/run/boot_id"

echo "$pid" >"$IDENTITY/pid.new"
mv "$IDENTITY/pid.new" "$IDENTITY/pid"
echo "$pid"
exec >&2
cd "$ROOT"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "$INIT" = systemd ]; then
    exec env -i container=lab PATH=$path LANG=C.UTF-8 /lib/systemd/systemd --system --log-target=console
fi
# The services' names stand in a file: in a command line, ps would show them as running.
exec env -i PATH=$path HOME=/root LANG=C.UTF-8 TERM=dumb /run/tini -- /bin/sh /run/rc
