#!/bin/bash
# Runs a command on a kernel that looks for mistakes in its own code, and takes our module away again: fails if the command
# does, if the kernel knows of memory that nobody frees, or if it has given up looking. What else it found stands in its log.
leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || { echo "this kernel does not look for leaks" >&2; exit 1; }
[ -r /proc/lockdep_stats ] || { echo "this kernel does not look at locks" >&2; exit 1; }

"$@"
status=$?

# Of a module that is gone everything must be gone.
if [ -d /sys/module/vfio_testdev ] && ! rmmod vfio_testdev; then
  echo "the module cannot be taken away" >&2
  status=1
fi
# Memory counts as lost once it is some seconds old and two scans have found nothing that points to it.
sleep 6
echo scan >$leaks
sleep 1
echo scan >$leaks
lost=$(cat $leaks)
if [ -n "$lost" ]; then
  echo "memory that nobody frees: $lost" >&2
  status=1
fi
if ! grep -Eq '^ *debug_locks: +1' /proc/lockdep_stats; then
  echo "the kernel has found a mistake in locks, or cannot hold any more of them, and looks no longer" >&2
  status=1
fi
exit $status
