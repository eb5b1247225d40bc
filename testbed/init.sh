#!/bin/sh
# The first process of a machine of the test bed. It loads the modules, lays a root together out of the host's (which stays
# as it is: changes go to memory), runs the command that it is given in it, writes down how it ended, and powers off.
b=/bin/busybox
fail() { $b echo "testbed: $*" >/dev/console; $b poweroff -f; }

$b mount -t devtmpfs devtmpfs /dev || fail "no /dev"
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t debugfs debugfs /sys/kernel/debug
$b mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null

# What drivers say about every step goes to the kernel's log, where a command finds it with dmesg.
while read -r module; do
  case $module in
    mtty) options=dyndbg=+p ;;
    *) options= ;;
  esac
  $b insmod "/modules/$module.ko" $options || fail "$module does not load"
done </modules/order

p9=trans=virtio,version=9p2000.L,msize=524288
$b mount -t 9p -o "$p9,ro,cache=loose" host /host || fail "no root from the host"
$b mount -t tmpfs -o size=50% overlay /overlay
$b mkdir /overlay/upper /overlay/work
$b mount -t overlay -o lowerdir=/host,upperdir=/overlay/upper,workdir=/overlay/work root /root || fail "no overlay"
$b mount -t 9p -o "$p9,cache=none" run /run || fail "nothing to run from the host"

# What can be written has the same path here as on the host.
run=$($b cat /run/path)
share=$($b cat /run/shared)
$b mkdir -p "/root$run" "/root$share" /root/dev /root/proc /root/sys /root/tmp /root/run
$b mount --bind /run "/root$run"
if [ "$share" != "$run" ]; then
  $b mount -t 9p -o "$p9,cache=none" share "/root$share" || fail "no share from the host"
fi
$b mount --move /dev /root/dev
$b mount --move /sys /root/sys
$b mount --move /proc /root/proc
$b mkdir -p /root/dev/shm /root/dev/pts
$b mount -t tmpfs shm /root/dev/shm
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs run /root/run
$b ip link set lo up

if [ -d /root/sys/module/vfio_pci ]; then
  for device in /root/sys/bus/pci/devices/*; do
    if [ "$($b cat "$device/class")" = 0x020000 ]; then
      echo vfio-pci >"$device/driver_override"
      echo "${device##*/}" >/root/sys/bus/pci/drivers_probe
    fi
  done
fi

$b chroot /root /bin/bash "$run/command" >/run/stdout 2>/run/stderr </root/dev/null
status=$?
$b dmesg >/run/dmesg
echo $status >/run/status
$b sync
$b poweroff -f
