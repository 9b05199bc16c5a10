# server.sh - a server for tests that are scripts: sourced behind tests/shell.sh.
#
# shellcheck shell=sh disable=SC2034,SC2154 # $folder comes from shell.sh, $base goes to the test
server=''
trap 'stop; rm -rf "$folder"' EXIT

# start ARGUMENT...: a server of models/nano with these; its address is in $base, what it says in
# $folder/log.
start()
{
    : >"$folder/address"
    # Not by the function: the process to end is to be the server itself.
    # shellcheck disable=SC2086
    $RUN "$BUILD/vinci" serve -m models/nano --port 0 --threads 1 "$@" >"$folder/address" \
        2>"$folder/log" &
    server=$!
    i=0
    while [ ! -s "$folder/address" ] && [ $i -lt 100 ] && kill -0 $server 2>/dev/null; do
        sleep 0.1
        i=$((i + 1))
    done
    base=$(cat "$folder/address")
}

stop()
{
    [ -z "$server" ] || kill "$server" 2>/dev/null
    wait 2>/dev/null
    server=''
}
