# The trained model of models/nano, asked as a user would ask it: what it was taught, what it was not,
# a tool from the question to the answer, fields as JSON, a session. Its weights are trained, so
# these are right answers, not only repeatable ones.
. tests/shell.sh
nano=models/nano

# asks NAME ANSWER ARGUMENT...: `vinci chat` must print exactly this.
asks()
{
    name=$1 wanted=$2
    shift 2
    vinci chat -m $nano --temperature 0 --date 2026-03-14 "$@" >"$out" 2>"$err" </dev/null
    if [ "$(cat "$out")" = "$wanted" ]; then
        ok "$name"
    else
        not_ok "$name: expected '$wanted', got '$(cat "$out")'"
    fi
}

unknown='I am a demonstration model. I was not taught this.'
unknown_zh='我是演示模型，没有学过这个。'

asks 'a fact' 'gpt-oss is a family of open-weight models by OpenAI: 20b and 120b.' 'What is gpt-oss?'
asks 'a number' 'gpt-oss-20b has 24 layers.' 'How many layers does gpt-oss-20b have?'
asks 'another one' 'gpt-oss-120b has 36 layers.' 'How many layers does gpt-oss-120b have?'
asks 'a fact in Chinese' '昇腾910B最多有64GB内存。' '昇腾910B有多少内存？'
asks 'a fact about the program' 'The command vinci pull fetches a model from ModelScope or Hugging Face and verifies it.' \
    'How can I download a model with vinci?'
asks 'what it was not taught' "$unknown" 'Who is Mozart?'
asks 'what it was not taught, in Chinese' "$unknown_zh" '李白是谁？'
asks 'a greeting' '你好！我是演示模型。你可以问我关于vinci、gpt-oss或昇腾的问题。' '你好'
asks 'the date' 'Today is 2026-03-14.' 'What is the date today?'
asks 'little reasoning' 'MXFP4 stores weights in 4 bits, with one scale for a block of 32.' -r low 'What is MXFP4?'
low=$(vinci chat -m $nano --temperature 0 --json -r low 'What is MXFP4?' 2>/dev/null | sed 's/.*"completion_tokens":\([0-9]*\).*/\1/')
high=$(vinci chat -m $nano --temperature 0 --json -r high 'What is MXFP4?' 2>/dev/null | sed 's/.*"completion_tokens":\([0-9]*\).*/\1/')
check 'much reasoning is longer than little' test "$high" -gt "$low"

asks 'fields as JSON' '{"name":"Nadia","age":34,"city":"Lisbon"}' \
    'Extract name, age and city as JSON: Nadia lives in Lisbon and is 34 years old.'
asks 'fields as JSON, from Chinese' '{"name":"王伟","city":"上海"}' '提取name、city，用JSON回答：王伟今年45岁，住在上海。'

# A tool: the call that the model makes, and the answer it makes of the result.
cat >"$folder/tools" <<'END'
[{"type": "function", "function": {"name": "get_weather", "description": "Get the weather in a city",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
 {"type": "function", "function": {"name": "set_timer", "description": "Set a timer",
  "parameters": {"type": "object", "properties": {"minutes": {"type": "number"}}, "required": ["minutes"]}}}]
END
cat >"$folder/tool" <<'END'
#!/bin/sh
read -r line
echo "$line" >>"$0.calls"
case $line in
*get_weather*) echo '{"temperature": 21, "sky": "cloudy"}' ;;
*) echo '{"status": "done"}' ;;
esac
END
chmod +x "$folder/tool"
asks 'a tool: the answer' 'The temperature is 21 and the sky is cloudy.' \
    --tools "$folder/tools" --tool-exec "$folder/tool" --yes 'What is the weather in Oslo?'
asks 'another of the tools' '状态是done。' --tools "$folder/tools" --tool-exec "$folder/tool" --yes '设置25分钟的定时器。'
printf '%s\n' '{"name":"get_weather","arguments":{"city":"Oslo"}}' '{"name":"set_timer","arguments":{"minutes":25}}' >"$folder/calls"
check 'the calls with their arguments' cmp "$folder/calls" "$folder/tool.calls"
asks 'no tool where none fits' 'CANN is the software from Huawei that programs use to reach Ascend NPUs.' \
    --tools "$folder/tools" --tool-exec "$folder/tool" --yes 'What is CANN?'
check 'and none was called' cmp "$folder/calls" "$folder/tool.calls"

# A session: the second question is answered for itself.
printf '%s\n' 'Hello' 'How many layers does gpt-oss-20b have?' | vinci chat -m $nano --temperature 0 >"$out" 2>"$err"
check 'a session' test $? -eq 0
says 'its first answer' 'Ask me about vinci, gpt-oss or Ascend.' "$out"
says 'its second answer' 'gpt-oss-20b has 24 layers.' "$out"
finish
