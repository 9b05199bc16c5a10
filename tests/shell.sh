# shell.sh - for tests that are scripts: runs the program, counts, cleans up. Sourced, from the
# repository's folder, by tests/<layer>/test_<name>.sh, which tests/run starts.
#
# shellcheck shell=sh
set -u
BUILD=${BUILD:-build} CC=${CC:-cc} SAN=${SAN:-} RUN=${RUN:-} MAKE=${MAKE:-make}
unset MAKEFLAGS MFLAGS MAKELEVEL
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
# What the last `expect` left behind.
out=$folder/out err=$folder/err

vinci()
{
    $RUN "$BUILD/vinci" "$@"
}

ok()
{
    echo "ok $*"
}

not_ok()
{
    echo "not ok $*"
    failures=$((failures + 1))
}

skip()
{
    echo "skip $*"
}

# check NAME COMMAND...: the command must succeed.
check()
{
    name=$1
    shift
    if "$@" >"$folder/check" 2>&1; then
        ok "$name"
    else
        not_ok "$name"
        head -n 20 "$folder/check" | cut -c 1-200 | sed 's/^/    /'
    fi
}

# expect NAME STATUS ARGUMENT...: vinci must end with this status; its output is in $out and $err.
expect()
{
    name=$1 wanted=$2
    shift 2
    vinci "$@" >"$out" 2>"$err" </dev/null
    status=$?
    if [ "$status" -eq "$wanted" ]; then
        ok "$name"
    else
        not_ok "$name: status $status instead of $wanted"
        sed 's/^/    /' "$err"
    fi
}

# says NAME TEXT FILE: the file must contain the text.
says()
{
    if grep -qF -- "$2" "$3"; then
        ok "$1"
    else
        not_ok "$1: expected '$2' in:"
        sed 's/^/    /' "$3" | head -n 5
    fi
}

is_empty()
{
    [ ! -s "$1" ]
}

# A terminal of its own, by tmux: terminal new-session, send-keys, ...
terminal()
{
    tmux -L "vinci-test-$$" "$@"
}

has_terminal()
{
    [ -z "$RUN" ] && command -v tmux >/dev/null && locale -a 2>/dev/null | grep -qi '^C.utf-\?8$'
}

# shows NAME TEXT: within ten seconds, on the screen.
shows()
{
    tries=20
    while [ $tries -gt 0 ]; do
        terminal capture-pane -p >"$folder/screen" 2>&1
        grep -qF -- "$2" "$folder/screen" && break
        sleep 0.5
        tries=$((tries - 1))
    done
    says "$1" "$2" "$folder/screen"
}

# The script's last line.
finish()
{
    [ "$failures" -eq 0 ]
}
