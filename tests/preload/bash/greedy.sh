# Takes memory until there is none. With an argument it first says that it is ready, and waits to be let go.
if [ $# -gt 0 ]; then
    : > ready
    # Without a process that sleeps: it might not get what it needs when it is to be.
    until [ -e go ]; do :; done
fi
kept=0123456789
while :; do kept=$kept$kept; done
