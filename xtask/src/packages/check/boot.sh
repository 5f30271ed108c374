# Starts the systemd of a root as the first process of namespaces of its own: `bash boot.sh ROOT CGROUP`.
# Its network is a loopback and nothing else, and when this ends, all of it ends.
set -eu
root=$1 group=$2
mkdir -p "$group"
echo $$ >"$group/cgroup.procs"
exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child --propagation private bash -euc '
root=$1
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty kmsg; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/old
hostname bartizan-check
ip link set lo up
pivot_root . run/old
umount -l /run/old
rmdir /run/old
exec env -i container=bartizan PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no
' sh "$root"
