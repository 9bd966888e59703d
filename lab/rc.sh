# The init of a node without systemd, below tini: starts the services that /etc/lab-services names, then takes requests
# as sysvinit does, by initctl(5): shutdown(8), reboot(8) and their siblings write one of 384 bytes into /run/initctl.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkfifo -m 600 /run/initctl
exec 3<>/run/initctl # also for writing, so that it has no end when a writer goes

while read -r name; do service "$name" start 3>&-; done </etc/lab-services

verb=
while [ -z "$verb" ]; do
    dd bs=384 count=1 <&3 >/run/initctl.asked 2>/dev/null
    # Its magic number, "change the runlevel", and the runlevel's digit.
    case $(od -An -tu4 -N12 /run/initctl.asked | tr -s ' ') in
        ' 50927977 1 48') verb=poweroff ;;
        ' 50927977 1 54') verb=reboot ;;
    esac
done

tac /etc/lab-services | while read -r name; do timeout 20 service "$name" stop 3>&-; done
killall5 -15
exec systemctl --force --force "$verb" # reboot(2) and nothing else
