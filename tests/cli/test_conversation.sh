# A conversation at a terminal with the small trained model: it calls a function, the person is asked,
# the function runs, and the answer uses what it gave. Then a pasted text, in Chinese, and a window that
# changes while an answer is written.
. tests/shell.sh
export XDG_STATE_HOME="$folder/state"

if ! has_terminal; then
    skip 'a conversation: no tmux, or no UTF-8 locale'
    finish
    exit
fi
cat >"$folder/tool" <<'END'
#!/bin/sh
read -r line
echo "$line" >>"$0.calls"
echo '{"temperature": 21}'
END
chmod +x "$folder/tool"
: >"$folder/tool.calls"
# chat ARGUMENT...: a session in a terminal of 60 columns.
chat()
{
    terminal -f /dev/null new-session -d -x 60 -y 30 "LC_ALL=C.UTF-8 TERM=screen '$BUILD/vinci' chat \
        $*; echo status \$?; sleep 60"
}

chat -m models/nano --temperature 0 --tools examples/tools.json --tool-exec "'$folder/tool'" --save "'$folder/saved'"
shows 'a greeting' '/help lists the commands'
terminal send-keys 'What is the weather in Paris?' Enter
shows 'the model calls the function' 'calls functions.get_weather {"place":"Paris"}'
shows 'the person is asked' 'run it? [y/N]'
check 'nothing ran before' is_empty "$folder/tool.calls"
terminal send-keys y Enter
shows 'the function runs' 'get_weather answers {"temperature": 21}'
shows 'the answer uses what it gave' 'The temperature is 21.'
check 'the function was given the arguments' test "$(cat "$folder/tool.calls")" = \
    '{"name":"get_weather","arguments":{"place":"Paris"}}'
terminal send-keys 'What is the weather in Oslo?' Enter
shows 'the next call' '{"place":"Oslo"}'
shows 'the person is asked again' '[y/N] '
sleep 0.5
terminal send-keys n Enter
shows 'the model is told that it was refused' 'get_weather answers Error: the user did not allow this call'
check 'and the function did not run' test "$(wc -l <"$folder/tool.calls")" -eq 1
shows 'and says so' 'The call failed: the user did not allow this call.'
terminal send-keys /quit Enter
shows 'the end' 'status 0'
says 'the call in the saved conversation' '"arguments": "{\"place\":\"Paris\"}"' "$folder/saved"
says 'and its result' '"content": "{\"temperature\": 21}"' "$folder/saved"
terminal kill-server
sleep 0.5

# Answers that come from a file, as what they are does not matter here.
model=tests/vectors/golden/text
printf '%s\n' '"<|channel|>final<|message|>好的。<|return|>"' >"$folder/answers"
chat --lang zh_CN --tokenizer $model/tokenizer.json --replay "'$folder/answers'" --save "'$folder/saved'"
shows 'a greeting in Chinese' '/help 列出命令'
terminal send-keys /help Enter
shows '/help in Chinese, in columns' '/effort [LEVEL]   思考的程度：low、medium 或 high'
shows '/help in Chinese, without an argument' '/undo             撤回上一条消息及其回答'
printf 'first line\n第二行\n\tthird\n' | terminal load-buffer -
terminal send-keys 'see: '
terminal paste-buffer -p
shows 'a pasted text is shown in lines' '第二行'
terminal send-keys ' end' Enter
shows 'it is one message' '好的。'
terminal send-keys C-d
shows 'the end of that session' 'status 0'
says 'with all of its lines' '"content": "see: first line\n第二行\n\tthird end"' "$folder/saved"
terminal kill-server
sleep 0.5

# A window that gets narrower while an answer is written: what is drawn then fits it.
bias='--logit-bias 592=-10000 --logit-bias 593=-10000 --logit-bias 599=-10000'
chat -m $model --seed 3 "$bias"
shows 'a session with an endless answer' '/help lists the commands'
terminal send-keys go Enter
sleep 1
terminal resize-window -x 40 -y 30
sleep 1
terminal send-keys C-c
shows 'it is stopped' '[stopped; what there is stays]'
terminal capture-pane -p -J >"$folder/screen" # lines that the terminal had to break are joined
check 'and no line on the screen is longer than the window' test \
    "$(LC_ALL=C.UTF-8 wc -L <"$folder/screen")" -le 40
terminal send-keys /quit Enter
shows 'the end of that one' 'status 0'
terminal kill-server
finish
