# Takes memory until there is none. With an argument it first says that it is ready, and waits to be let go.
if [ $# -gt 0 ]; then
    : > ready
    until [ -e go ]; do sleep 0.01; done
fi
kept=0123456789
while :; do kept=$kept$kept; done
