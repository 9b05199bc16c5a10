# `vinci chat`: one question, sessions from a pipe and on a terminal, tools, saved conversations. The
# answers come from a file (--replay), so that what happens around them is exact; the small model,
# whose weights are random, shows that an engine answers too.
. tests/shell.sh
model=tests/vectors/golden/text
export XDG_STATE_HOME="$folder/state"

cat >"$folder/tools" <<'END'
[{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
END

# answers LINE...: what --replay gives, each the text of a JSON string.
answers()
{
    : >"$folder/answers"
    for line; do
        printf '"%s"\n' "$line" >>"$folder/answers"
    done
}
thought='<|channel|>analysis<|message|>I must look.<|end|><|start|>assistant'
call="$thought<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\\\"city\\\":\\\"Paris\\\"}<|call|>"
final='<|channel|>final<|message|>It is **sunny**.<|return|>'
thanks='<|channel|>final<|message|>You are welcome.<|return|>'

# replay ARGUMENT...: with those answers; standard input is the caller's.
replay()
{
    vinci chat --tokenizer $model/tokenizer.json --replay "$folder/answers" --date 2025-06-28 "$@" \
        >"$out" 2>"$err"
}

# session NAME ARGUMENT...: lines from standard input.
session()
{
    name=$1
    shift
    replay "$@"
    check "$name" test $? -eq 0
}

# ---- one question ----

answers "$thought$final"
replay 'Weather?' </dev/null
check 'a question' test $? -eq 0
check 'the answer alone is on standard output' test "$(cat "$out")" = 'It is **sunny**.'
check 'nothing else is said' is_empty "$err"
replay 'Weather?' --show-reasoning full </dev/null
says 'the reasoning is on standard error' 'I must look.' "$err"
check 'and not on standard output' test "$(cat "$out")" = 'It is **sunny**.'
if grep -q "$(printf '\033')" "$out" "$err"; then not_ok 'attributes in files'; else ok 'no attributes in files'; fi
expect 'no tokens beyond the answers there are' 1 chat --tokenizer $model/tokenizer.json --replay /dev/null Hello
printf 'a text' | replay 'Summarise this.' --save "$folder/saved"
says 'a pipe stands behind the question' '"content": "Summarise this.\n\na text"' "$folder/saved"
printf 'one' >"$folder/one"
printf 'two' >"$folder/two"
replay 'Compare.' --file "$folder/one" --file "$folder/two" --save "$folder/saved" </dev/null
says 'files stand behind the question' '"content": "Compare.\n\none\n\ntwo"' "$folder/saved"
vinci chat --tokenizer $model/tokenizer.json --replay "$folder/answers" Weather <&- >"$out" 2>"$err"
check 'standard input closed' test "$(cat "$out")" = 'It is **sunny**.'
replay 'Weather?' --json </dev/null
for word in '"content":"It is **sunny**."' '"reasoning_content":"I must look."' '"finish_reason":"stop"' \
    '"role":"assistant"' '"completion_tokens":'; do
    says "--json has $word" "$word" "$out"
done
check '--json: one line' test "$(wc -l <"$out")" -eq 1
expect '--json without a question' 2 chat -m $model --json
expect 'an empty question' 2 chat -m $model ''
expect 'a file that is not there' 3 chat -m $model Hello --file "$folder/none"
expect 'answers that are no JSON' 5 chat --tokenizer $model/tokenizer.json --replay "$folder/one" Hello
expect 'tools that are no JSON' 5 chat -m $model Hello --tools "$folder/one"
expect 'a level of reasoning that is none' 2 chat -m $model Hello --reasoning much

replay 'Weather?' -n 20 --json </dev/null
says 'cut after -n tokens: the reason' '"finish_reason":"length"' "$out"
replay 'Weather?' -n 30 </dev/null
check 'cut after -n tokens: a clean end' test $? -eq 0
says 'cut after -n tokens: it is said' 'cut after 30 tokens' "$err"
check 'cut after -n tokens: the part is there' grep -q '^It is' "$out"

# ---- the engine ----

vinci chat -m $model Hello -n 12 --date 2025-06-28 --seed 3 >"$out" 2>"$err" </dev/null
cp "$out" "$folder/first"
check 'the model answers' test -s "$folder/first"
vinci chat -m $model Hello -n 12 --date 2025-06-28 --seed 3 --threads 1 >"$out" 2>"$err" </dev/null
check 'the same seed, the same answer' cmp "$folder/first" "$out"
expect 'a question beyond the context' 8 chat -m $model Hello --ctx 20
bias='--logit-bias 592=-10000 --logit-bias 593=-10000 --logit-bias 599=-10000'
# shellcheck disable=SC2086
printf '%s\n' Hello /speed 'And more' /speed | vinci chat -m $model --ctx 600 $bias -n 30 >"$out" 2>"$err"
check 'a session with the model' test $? -eq 0
says 'the first turn computes all' 'prompt    0 tokens reused, ' "$err"
check 'the second one computes what is new' grep -qE 'prompt    1[0-9][0-9] tokens reused' "$err"
# shellcheck disable=SC2086
expect 'until the context is full' 0 chat -m $model --ctx 200 $bias Hello
says 'a full context is said' 'the context of 200 tokens is full' "$err"
check 'a full context: what there is stays' test -s "$out"

if [ -z "$RUN" ] && command -v timeout >/dev/null; then
    # shellcheck disable=SC2086
    timeout --foreground --preserve-status -s INT 1 "$BUILD/vinci" chat -m $model $bias Hello --save "$folder/saved" \
        >"$out" 2>"$err" </dev/null
    check 'Ctrl-C: status 11' test $? -eq 11
    check 'Ctrl-C: what there is was printed' test -s "$out"
    check 'Ctrl-C: and saved' grep -q '"role": "assistant"' "$folder/saved"
fi

# ---- tools ----

answers "$call" "$thought$final"
cat >"$folder/tool" <<'END'
#!/bin/sh
read -r line
echo "$line" >>"$0.calls"
echo '25 degrees'
END
chmod +x "$folder/tool"
replay 'Weather?' --tools "$folder/tools" --tool-exec "$folder/tool" --yes --save "$folder/saved" </dev/null
check 'a call and its answer' test "$(cat "$out")" = 'It is **sunny**.'
check 'what the tool was given' test "$(cat "$folder/tool.calls")" = \
    '{"name":"get_weather","arguments":{"city":"Paris"}}'
says 'what the model was given' '"content": "25 degrees"' "$folder/saved"
says 'calls are shown' 'calls functions.get_weather {"city":"Paris"}' "$err"
says 'the call in its saved form' '"arguments": "{\"city\":\"Paris\"}"' "$folder/saved"
if grep -q harmony "$folder/saved"; then not_ok 'only standard keys'; else ok 'only standard keys'; fi

# tool NAME COMMAND TEXT ARGUMENT...: the model must be given this text.
tool()
{
    name=$1 command=$2 text=$3
    shift 3
    replay 'Weather?' --tools "$folder/tools" --tool-exec "$command" --save "$folder/saved" "$@" </dev/null
    check "$name: the turn goes on" test "$(cat "$out")" = 'It is **sunny**.'
    says "$name: the model is told" "\"content\": \"$text" "$folder/saved"
}
tool 'a tool that fails' 'echo no; exit 3' 'Error: the function failed with status 3\nno"' --yes
tool 'a tool that is killed' 'kill -9 $$' 'Error: the function was ended by signal 9"' --yes
tool 'a tool that is not there' /no/such/tool 'Error: the function failed with status 127"' --yes 2>/dev/null
tool 'a tool that takes too long' 'sleep 30' 'Error: the function did not end within 1 s"' --yes --tool-timeout 1
tool 'a tool that leaves another behind' 'sleep 30 & echo 25' '25"' --yes
tool 'a tool that says too much' 'yes' 'Error: the answer was cut after 5 bytes\ny\ny\ny"' --yes --tool-limit 5
tool 'a tool that reads nothing' 'exec <&-; echo 25' '25"' --yes
tool 'nobody to ask' 'echo 25' 'Error: the user did not allow this call"'
says 'nobody to ask: a warning' '--yes runs all calls' "$err"
answers "$thought<|channel|>commentary to=functions.rm <|constrain|>json<|message|>{}<|call|>" "$final"
tool 'an unknown function' 'echo 25' 'Error: there is no function rm; there are: get_weather"' --yes
answers "$thought<|channel|>commentary to=python <|message|>1+1<|call|>" "$final"
tool 'not a function' 'echo 25' 'Error: there is no function python; there are: get_weather"' --yes
answers "$thought<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{city<|call|>" "$final"
tool 'arguments that are no JSON' 'echo 25' 'Error: the arguments are not a JSON object: ' --yes
answers "$thought<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\\\"n\\\":\n 123456789012345678901234567890, \\\"x\\\": 0.1}<|call|>" "$final"
tool 'numbers of any length' "cat >'$folder/given'; echo 25" '25"' --yes
check 'numbers of any length: every digit' test "$(cat "$folder/given")" = \
    '{"name":"get_weather","arguments":{"n":  123456789012345678901234567890, "x": 0.1}}'
answers "$call" "$call" "$call" "$final"
replay 'Weather?' --tools "$folder/tools" --tool-exec 'echo 25' --yes --tool-rounds 2 --json </dev/null
says 'too many calls: the last is open' '"finish_reason":"tool_calls"' "$out"
answers "$call"
replay 'Weather?' --tools "$folder/tools" --json </dev/null
says 'nothing to run the call: it is open' '"finish_reason":"tool_calls"' "$out"

# ---- sessions and files ----

answers "$call" "$thought$final" "$thanks" "<|channel|>analysis<|message|>Cut" '<|channel|>final<|message|>End.<|return|>'
cat >"$folder/lines" <<END
Weather?
/tokens
Many\\
thanks
"""
three

lines"""
/tokens
/save $folder/saved
/speed
/undo
/undo
/tokens
/load $folder/saved
/tokens
/effort high
/effort
/effort much
/system Be brief.
/system
/tools
/hlep
/xyzzyxyzzy
/load $folder/none
/retry
/help
/quit
never said
END
session 'a session from a pipe' --tools "$folder/tools" --tool-exec 'echo 25' --yes <"$folder/lines"
printf 'It is **sunny**.\nYou are welcome.\nEnd.\n' >"$folder/wanted"
check 'its answers' cmp "$folder/wanted" "$out"
grep ' tokens in ' "$err" >"$folder/tokens"
check 'four counts of tokens' test "$(wc -l <"$folder/tokens")" -eq 4
check 'two turns taken back: the count from before' test \
    "$(sed -n 1p "$folder/tokens")" = "$(sed -n 3p "$folder/tokens")"
check 'loaded again: the same tokens' test "$(sed -n 2p "$folder/tokens")" = "$(sed -n 4p "$folder/tokens")"
says 'several lines, by backslash' '"content": "Many\nthanks"' "$folder/saved"
says 'several lines, between quotes' '"content": "three\n\nlines"' "$folder/saved"
for words in 'tokens reused' "did you mean '/help'?" "no command '/xyzzyxyzzy'" 'expected low, medium or high' \
    'Be brief.' 'get_weather' "$folder/none" '/quit    ' 'loaded 10 messages' 'high'; do
    says "it says $words" "$words" "$err"
done
if grep -q 'tokens/s' "$err"; then not_ok 'a speed of what was not computed'; else ok 'no speed of what was not computed'; fi
check 'a conversation is for its owner' test "$(stat -c %a "$folder/saved" 2>/dev/null || echo 600)" = 600

# Where a conversation is written: nothing else is lost, and what cannot be is known before the talk.
answers "$thanks"
mkdir "$folder/kept"
mkfifo "$folder/kept/pipe"
expect 'a pipe is no place for a conversation' 6 chat --tokenizer $model/tokenizer.json \
    --replay "$folder/answers" Hello --save "$folder/kept/pipe"
says 'why' 'not a regular file' "$err"
check 'it is still a pipe' test -p "$folder/kept/pipe"
check 'no answer was made for nothing' test ! -s "$out"
expect 'a folder that is not there' 3 chat --tokenizer $model/tokenizer.json \
    --replay "$folder/answers" Hello --save "$folder/none/x"
check 'no answer either' test ! -s "$out"
echo mine >"$folder/kept/s.part"
ln -s s "$folder/kept/link"
for _ in 1 2 3 4; do
    replay Hello --save "$folder/kept/s" </dev/null 2>"$folder/kept.err" >"$folder/kept.out" &
done
wait
says 'four writers at once' '"role": "assistant"' "$folder/kept/s"
replay Hello --save "$folder/kept/link" </dev/null
check 'a link stays one' test -L "$folder/kept/link"
check "somebody else's file" test "$(cat "$folder/kept/s.part")" = mine
check 'nothing is left over' test "$(ls "$folder/kept" | tr '\n' ' ')" = 'link pipe s s.part '

# The same tokens through a file, exactly, whatever the messages were like.
roundtrip()
{
    answers "$2"
    rm -f "$folder/a" "$folder/b"
    printf '%s\n' Hello /tokens "/save $folder/a" | replay
    grep ' tokens in ' "$err" >"$folder/count"
    printf '%s\n' /tokens "/save $folder/b" | replay --load "$folder/a"
    check "$1: the same file" cmp "$folder/a" "$folder/b"
    check "$1: the same tokens" test "$(grep ' tokens in ' "$err")" = "$(cat "$folder/count")"
}
roundtrip 'an answer' "$thought$final"
roundtrip 'a cut analysis' '<|channel|>analysis<|message|>Cut'
roundtrip 'no channel' '<|message|>Hm<|return|>'
roundtrip 'an open call' "$call"
roundtrip 'a call of another kind' '<|channel|>analysis to=python code<|message|>1+1<|call|>'
roundtrip 'a remark and two thoughts' "$thought<|channel|>commentary<|message|>So.<|end|><|start|>assistant$thought$final"
roundtrip 'nothing' ''
cat >"$folder/openai" <<'END'
{"model": "gpt-x", "messages": [
 {"role": "system", "content": "Be brief."},
 {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
 {"role": "assistant", "content": "", "tool_calls": [
  {"id": "abc", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
 {"role": "tool", "tool_call_id": "abc", "content": "25"},
 {"role": "assistant", "content": "Sunny."}]}
END
answers "$thanks"
session "another program's conversation" --load "$folder/openai" --save "$folder/saved" <<'END'
/system
Thanks
END
says 'its instructions' 'Be brief.' "$err"
check 'it goes on' test "$(cat "$out")" = 'You are welcome.'
says 'its tool answered' '"tool_call_id": "call_1"' "$folder/saved"
echo '{"messages": [{"role": "king", "content": "x"}]}' >"$folder/bad"
expect 'a role that is none' 5 chat -m $model --load "$folder/bad" x
says 'which message' 'messages[0]: expected role' "$err"
echo '{"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}' >"$folder/bad"
expect 'an answer to no call' 5 chat -m $model --load "$folder/bad" x
echo '{"messages": 1}' >"$folder/bad"
expect 'no messages' 5 chat -m $model --load "$folder/bad" x

# ---- a terminal ----

if has_terminal; then
    answers "$call" "$thought<|channel|>final<|message|>It is **sunny** in 巴黎.\\n\\n| 城市 | C |\\n|---|--:|\\n| 巴黎 | 25 |\\n\\n- one\\n- two<|return|>"
    terminal -f /dev/null new-session -d -x 70 -y 40 "LC_ALL=C.UTF-8 TERM=screen '$BUILD/vinci' chat \
        --tokenizer $model/tokenizer.json --replay '$folder/answers' --tools '$folder/tools' --tool-exec 'echo 25 C'
        LC_ALL=C.UTF-8 '$BUILD/vinci' chat -m $model $bias; echo status \$?; sleep 60"
    shows 'terminal: a greeting' '/help lists the commands'
    terminal send-keys 'Weather in 巴' BSpace '巴黎?' Enter
    shows 'terminal: it asks' 'run it? [y/N]'
    terminal send-keys y Enter
    shows 'terminal: the tool answers' 'get_weather answers 25 C'
    shows 'terminal: Markdown' 'It is sunny in 巴黎.'
    shows 'terminal: a table' '巴黎 │ 25'
    shows 'terminal: a list' '• two'
    shows 'terminal: the reasoning is brief' 'thought for'
    says 'terminal: what was edited' '> Weather in 巴黎?' "$folder/screen"
    terminal send-keys half C-c
    shows 'terminal: Ctrl-C drops the line' '/quit or Ctrl-D ends the session'
    terminal send-keys /quit Enter
    shows 'terminal: the model' 'text, context of'
    check 'terminal: the history is kept' grep -q Weather "$folder/state/vinci/history"
    if grep -q '^y' "$folder/state/vinci/history"; then not_ok 'leave is history'; else ok 'leave is no history'; fi
    terminal send-keys go Enter
    sleep 1
    terminal send-keys C-c
    shows 'terminal: Ctrl-C stops the answer' '[stopped; what there is stays]'
    terminal send-keys /tokens Enter
    shows 'terminal: and keeps the session' ' messages; the context has'
    terminal send-keys Up Up Up Enter
    shows 'terminal: the history of before' '> /quit'
    shows 'terminal: the end' 'status 0'
    terminal kill-server
else
    skip 'a terminal: no tmux, or no UTF-8 locale'
fi
finish
