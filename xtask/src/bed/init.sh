#!/bin/sh
# The first process of dom0 on the test bed: devices, xenstore, backends, the
# network, the disk that outlives a restart, then the agent. Lines that begin
# with "bed[" are for people who read the console; nothing parses them but the
# message of a boot that failed.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb

mark() {
    read -r up _ </proc/uptime
    echo "bed[$up] $*"
    echo "$up $*" >>/run/marks
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmpfs /run
mkdir -p /run/xen /run/lock /run/xenstored /run/xenios
# Xen's hotplug scripts want /dev/fd.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mark "kernel"

while read -r module; do
    insmod "/lib/modules/$module" || echo "bed: insmod $module failed"
done </lib/modules/order
mark "modules"

mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xen/xenstored.pid
xen-init-dom0 >/dev/null
xenconsoled --pid-file=/run/xen/xenconsoled.pid --log=guest --log-dir=/var/log/xen
mark "xenstore"

ip link set lo up
for path in /sys/class/net/e*; do
    ip link set "${path##*/}" up
    ip addr add 10.0.2.15/24 dev "${path##*/}"
    ip route add default via 10.0.2.2
done
mkdir -p /var/lib/xenios
[ -b /dev/vda ] && mount -t ext4 /dev/vda /var/lib/xenios
mark "network and disk"

exec /sbin/agent
