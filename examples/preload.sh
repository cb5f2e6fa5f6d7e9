#!/bin/sh
# Runs a program on HAKMEM as it is, and prints what the allocator did for it.
#
#   examples/preload.sh path/to/libhakmem.so
set -eu

# The variables are for the one program and not for the shell, which would otherwise report as well.
seq 100000 | env LD_PRELOAD="$1" HAKMEM_STATS=1 sort --reverse 2>&1 >/dev/null | grep -E 'allocations|live_bytes'
