# Standard streams and signals: what goes where, readers that go away, full disks, closed
# descriptors, Ctrl-C, a mapped file that shrinks.
. tests/shell.sh
model=tests/vectors/golden/text

expect 'generate' 0 generate -m $model --prompt Hello --max-new-tokens 4
cp "$out" "$folder/text"
check 'nothing is said beside the text' is_empty "$err"
expect 'generate --stats' 0 generate -m $model --prompt Hello --max-new-tokens 4 --stats
check 'the text is the same with --stats' cmp "$folder/text" "$out"
says 'the figures are on standard error' 'tokens/s' "$err"
if grep -q "$(printf '\033')" "$err"; then not_ok 'colours in a file'; else ok 'no colours in a file'; fi
vinci generate -m $model --prompt-file - --max-new-tokens 4 >"$out" 2>"$err" <<END
Hello
END
check 'a prompt from standard input' test $? -eq 0
expect 'an empty prompt file' 2 generate -m $model --prompt-file /dev/null

# A generation that goes on until it is stopped: from ids, so no token ends it.
echo '1 2 3' >"$folder/ids"
endless="generate -m $model --ids $folder/ids -n 130000"

# A reader that goes away: status 4, no words.
{
    # shellcheck disable=SC2086
    vinci $endless 2>"$err"
    echo $? >"$folder/status"
} | head -c 1 >"$out"
check 'a reader that goes away: status 4' test "$(cat "$folder/status")" = 4
check 'a reader that goes away: no words' is_empty "$err"
{
    vinci bench -m $model -n 100 --iters 1000000 --warmup 0 2>"$err"
    echo $? >"$folder/status"
} | head -n 8 >"$out"
check 'bench: a reader that goes away: status 4' test "$(cat "$folder/status")" = 4
check 'bench: a reader that goes away: no words' is_empty "$err"
{
    vinci help --man 2>"$err"
    echo $? >"$folder/status"
} | true
check 'a reader that was never there' test "$(cat "$folder/status")" = 4 -o "$(cat "$folder/status")" = 0
check 'a reader that was never there: no words' is_empty "$err"

if [ -c /dev/full ]; then
    for command in '--help' "info -m $model" "info -m $model --json" "generate -m $model --prompt x -n 4"; do
        # shellcheck disable=SC2086
        vinci $command >/dev/full 2>"$err"
        check "a full disk: vinci $command: status 4" test $? -eq 4
        says "a full disk: vinci $command: words" 'standard output: cannot write: No space left' "$err"
    done
fi

vinci generate -m $model --prompt Hello -n 4 <&- >"$out" 2>"$err"
check 'standard input closed: not needed' cmp "$folder/text" "$out"
vinci generate -m $model --prompt-file - -n 4 <&- >"$out" 2>"$err"
check 'standard input closed: needed' test $? -eq 4
vinci generate -m $model --prompt Hello -n 4 2>"$err" >&-
check 'standard output closed: status 4' test $? -eq 4
says 'standard output closed: words' 'standard output: cannot write' "$err"
vinci generate -m $model --prompt Hello -n 4 >"$out" 2>&-
check 'standard error closed: the text is there' cmp "$folder/text" "$out"
before=$(cksum <$model/model.safetensors)
vinci generate -m $model --prompt Hello -n 4 --stats <&- >&- 2>&-
check 'all closed: the model is not written to' test "$before" = "$(cksum <$model/model.safetensors)"

# --foreground: one signal, to the program alone; the whole group would get two, and the second
# Ctrl-C ends the program at once.
interrupt()
{
    # shellcheck disable=SC2086
    timeout --foreground -s "$1" -k 20 2 "$BUILD/vinci" $endless >"$out" 2>"$err"
    echo $? >"$folder/status"
    [ "$(cat "$folder/status")" = 124 ]
}
if [ -z "$RUN" ] && command -v timeout >/dev/null; then
    check 'Ctrl-C: in time' interrupt INT
    says 'Ctrl-C: words' 'stopped' "$err"
    check 'Ctrl-C: what was generated is there' test -s "$out"
    check 'a request to end' interrupt TERM
    check 'a terminal that goes away' interrupt HUP
    # The status behind timeout's 124:
    # shellcheck disable=SC2086
    timeout --foreground --preserve-status -s INT 1 "$BUILD/vinci" $endless >/dev/null 2>&1
    check 'Ctrl-C: status 11' test $? -eq 11
    timeout --foreground --preserve-status -s INT 1 "$BUILD/vinci" bench -m $model -n 1000 --iters 1000000 >"$out" 2>"$err"
    check 'Ctrl-C in bench: status 11' test $? -eq 11
    cp -r $model "$folder/shrinking"
    chmod u+w "$folder/shrinking/model.safetensors"
    timeout 20 "$BUILD/vinci" generate -m "$folder/shrinking" --ids "$folder/ids" -n 130000 >/dev/null 2>"$err" &
    sleep 0.5
    : >"$folder/shrinking/model.safetensors"
    wait $!
    check 'a model that shrinks: status 4' test $? -eq 4
    says 'a model that shrinks: words' 'shr' "$err"
    # shellcheck disable=SC2086
    timeout --foreground --preserve-status -s BUS 1 "$BUILD/vinci" $endless >/dev/null 2>"$err"
    check 'a mapped file that shrank: status 4' test $? -eq 4
    says 'a mapped file that shrank: words' 'shrank or became unreadable' "$err"
fi

# On a terminal there are colours, unless NO_COLOR is set.
if [ -z "$RUN" ] && script -qec true /dev/null >/dev/null 2>&1; then
    TERM=xterm script -qec "$BUILD/vinci nonsense" /dev/null >"$out" 2>&1
    says 'colours on a terminal' "$(printf '\033[1;31m')" "$out"
    TERM=xterm NO_COLOR=1 script -qec "$BUILD/vinci nonsense" /dev/null >"$out" 2>&1
    if grep -q "$(printf '\033')" "$out"; then not_ok NO_COLOR; else ok NO_COLOR; fi
    TERM=dumb script -qec "$BUILD/vinci nonsense" /dev/null >"$out" 2>&1
    if grep -q "$(printf '\033')" "$out"; then not_ok TERM=dumb; else ok TERM=dumb; fi
else
    skip 'no script(1)'
fi
finish
