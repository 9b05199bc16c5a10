# `vinci serve` as a program: answers of the demonstration model and of scripts, streams, errors,
# limits, keys, origins, shutdown.
#
# shellcheck disable=SC2016 # $ in patterns
. tests/shell.sh
model=models/nano
command -v curl >/dev/null || {
    skip 'curl is not here'
    exit 0
}
. tests/server.sh

# post PATH BODY [CURL ARGUMENT...]: the answer into $out, its status into $status.
post()
{
    path=$1 body=$2
    shift 2
    status=$(curl -sN -o "$out" -w '%{http_code}' -H 'Content-Type: application/json' "$@" \
        -d "$body" "$base$path")
}

# answers NAME STATUS TEXT: the last answer had this status and holds the text.
answers()
{
    if [ "$status" = "$2" ]; then says "$1" "$3" "$out"; else not_ok "$1: status $status instead of $2"; fi
}

hi='{"messages":[{"role":"user","content":"What is vinci?"}],"temperature":0'
start --alias nano,other --max-body 4096 --date 2026-01-02
says 'the address' 'http://127.0.0.1:' "$folder/address"
curl -s "$base/v1/models" >"$out"
says 'models' '"id":"nano","object":"model"' "$out"
curl -s "$base/v1/models/other" >"$out"
says 'a model' '"id":"other"' "$out"
for path in health ready version metrics ''; do
    status=$(curl -s -o "$out" -w '%{http_code}' "$base/$path")
    check "/$path" test "$status" = 200
done

post /v1/chat/completions "$hi}"
answers 'an answer' 200 '"content":"vinci is a C program'
answers 'reasoning under both names' 200 '"reasoning":"Topic: vinci. I was taught this.","reasoning_content":"Topic'
sed 's/.*"content":"\([^"]*\)".*/\1/' "$out" >"$folder/whole"
echo >>"$folder/whole"
post /v1/chat/completions "$hi,\"stream\":true,\"stream_options\":{\"include_usage\":true}}"
sed -n 's/.*"delta":{"content":"\([^"]*\)"}.*/\1/p' "$out" | tr -d '\n' >"$folder/stream"
echo >>"$folder/stream"
check 'a stream is the same text' cmp "$folder/whole" "$folder/stream"
says 'a stream ends' 'data: [DONE]' "$out"
says 'and tells its usage' '"choices":[],"usage":{"prompt_tokens":' "$out"
post /v1/chat/completions "$hi,\"max_tokens\":3}"
answers 'cut' 200 '"finish_reason":"length"'
post /v1/chat/completions "$hi,\"stop\":[\"never\",\" C prog\"]}"
answers 'a stop string' 200 '"content":"vinci is a","refusal"'
post /v1/chat/completions "$hi,\"reasoning_effort\":\"none\"}"
check 'no reasoning' sh -c "! grep -q '\"reasoning\":' '$out'"
post /v1/chat/completions "$hi,\"n\":2,\"logprobs\":true,\"top_logprobs\":2}"
answers 'two choices with log-probabilities' 200 '{"index":1,"message"'
answers 'and their bytes' 200 '"top_logprobs":[{"token":"'
post /v1/chat/completions "$hi,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"type\":\"object\",\"properties\":{\"x\":{\"enum\":[\"one\"]}},\"required\":[\"x\"],\"additionalProperties\":false}}}}"
answers 'an answer held to a schema' 200 '\"one\"'
tools='"tools":[{"type":"function","function":{"name":"now","strict":true,"parameters":{"type":"object","properties":{"zone":{"type":"string","enum":["utc"]}},"required":["zone"],"additionalProperties":false}}}]'
post /v1/chat/completions "$hi,$tools,\"tool_choice\":\"required\"}"
answers 'a call that must be' 200 '"finish_reason":"tool_calls"'
answers 'with the arguments it must have' 200 '\"utc\"'
post /v1/completions '{"prompt":"vinci is","max_tokens":4,"temperature":0,"echo":true}'
answers 'a raw text' 200 '"text":"vinci is'
post /v1/responses '{"input":"What is vinci?","temperature":0}'
answers 'a response' 200 '{"type":"output_text","text":"vinci is a C program'
post /v1/responses '{"input":"What is vinci?","temperature":0,"stream":true}'
answers 'its events' 200 'event: response.completed'
post /v1/messages '{"max_tokens":99,"temperature":0,"messages":[{"role":"user","content":"What is vinci?"}]}'
answers 'a message' 200 '{"type":"text","text":"vinci is a C program'
post /tokenize '{"messages":[{"role":"user","content":"<|start|>"}]}'
answers 'tokens' 200 '"count":'
post /detokenize '{"tokens":[72,73]}'
answers 'text' 200 '"prompt":"'

# The same seed, the same text, alone and in company.
ask()
{
    curl -s -H 'Content-Type: application/json' -d "{\"messages\":[{\"role\":\"user\",\"content\":\"Tell me $1\"}],\"seed\":$1,\"max_tokens\":40}" \
        "$base/v1/chat/completions" | sed 's/"id":"[^"]*","object":"chat.completion","created":[0-9]*//; s/"cached_tokens":[0-9]*//'
}
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ask $i >"$folder/alone.$i"; done
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    ask $i >"$folder/together.$i" &
    asking="${asking:-} $!"
done
# shellcheck disable=SC2086
wait $asking
same=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    cmp -s "$folder/alone.$i" "$folder/together.$i" && same=$((same + 1))
done
check 'twelve requests alone and together: the same' test $same -eq 12

# ---- errors ----
post /v1/chat/completions '{"messages":'
answers 'not JSON' 400 '"code":"invalid_json"'
post /v1/chat/completions '{"messages":[],"model":"nano"}'
answers 'no messages' 400 '"param":"messages"'
post /v1/chat/completions '{"messages":[],"model":"gpt-5"}'
answers 'another model' 404 '"code":"model_not_found"'
post /v1/messages '{"max_tokens":1}'
answers 'in the other form' 400 '{"type":"error","error":{"type":"invalid_request_error"'
post /v1/nothing '{}'
answers 'no such path' 404 '"code":"not_found"'
post '/../../etc/passwd' '{}' --path-as-is
answers 'no way out' 404 '"code":"not_found"'
post /health '{}'
answers 'no such method' 405 'use GET'
status=$(curl -s -o "$out" -w '%{http_code}' -d '{}' "$base/v1/chat/completions")
answers 'a body of another type' 415 'application/json'
post /v1/chat/completions "{\"x\":\"$(printf '%5000d' 0)\"}"
answers 'too large' 413 '"code":"body_too_large"'
status=$(printf '{"x":"%5000d"}' 0 | curl -s -o "$out" -w '%{http_code}' -X POST \
    -H 'Content-Type: application/json' -H 'Transfer-Encoding: chunked' -d @- "$base/v1/completions")
check 'too large and in chunks' test "$status" != 200
post /v1/chat/completions "$hi}" -H 'Origin: https://evil.example'
answers 'a foreign page' 403 'origin_not_allowed'
post /v1/chat/completions "$hi}" -H 'Origin: http://evil.example' -H 'Host: evil.example'
answers 'a foreign name for this machine' 403 'origin_not_allowed'
post /v1/chat/completions "$hi,\"max_tokens\":2}" -H "Origin: $base"
answers 'the own page' 200 '"finish_reason"'
status=$(curl -s -o "$out" -w '%{http_code}' -H "X: $(printf '%40000d' 0)" "$base/health")
check 'a header that is too large' test "$status" != 200
curl -s -D "$out" -o /dev/null -H 'X-Request-Id: mine-1' "$base/health"
says 'a request has a name' 'X-Request-Id: mine-1' "$out"
check 'and is in the log, without its text' sh -c "grep -q '\"path\":\"/v1/messages\"' '$folder/log' && ! grep -q 'What is' '$folder/log'"
stop
check 'ended' sh -c "! kill -0 $server 2>/dev/null"

# ---- who leaves, and the end ----
start --ctx 60000
long="$hi,\"ignore_eos\":true,\"stream\":true}"
curl -sN --max-time 1 -o "$out" -H 'Content-Type: application/json' -d "$long" "$base/v1/chat/completions"
i=0
while ! curl -s "$base/metrics" | grep -q '^vllm:num_requests_running.* 0$' && [ $i -lt 50 ]; do
    sleep 0.1
    i=$((i + 1))
done
check 'who leaves is no longer computed for' test $i -lt 50
curl -s "$base/metrics" >"$out"
says 'and counted' 'finished_reason="abort"} 1' "$out"
curl -sN -o "$out" -H 'Content-Type: application/json' -d "$hi,\"max_tokens\":400,\"ignore_eos\":true}" "$base/v1/chat/completions" &
asking=$!
sleep 0.3
kill -TERM $server
wait $asking
says 'what is under way is finished' '"finish_reason":"length"' "$out"
wait $server
check 'and the server ends well' test $? -eq 0
start --grace 0 --ctx 60000
curl -sN -o "$out" -H 'Content-Type: application/json' -d "$long" "$base/v1/chat/completions" &
asking=$!
sleep 0.5
kill -TERM $server
wait $asking $server
says 'or stopped, and told so' '"code":"cancelled"' "$out"

# ---- beginnings of prompts, from one run to the next ----
mkdir "$folder/prefixes"
long_hi="{\"messages\":[{\"role\":\"system\",\"content\":\"$(printf '%600d' 0 | sed 's/0\| /Be kind. /g')\"},${hi#*\[},\"max_tokens\":30}"
start --prefix-cache-dir "$folder/prefixes" --date none
post /v1/chat/completions "$long_hi"
cp "$out" "$folder/first"
stop
start --prefix-cache-dir "$folder/prefixes" --date none
post /v1/chat/completions "$long_hi"
answers 'the next run has them' 200 '"cached_tokens":'
for file in "$folder/first" "$out"; do sed 's/.*"message"//; s/"cached_tokens":[0-9]*//; s/"usage".*//' "$file" >"$file.text"; done
check 'with the same answer' cmp "$folder/first.text" "$out.text"
check 'and does not compute them again' sh -c "! grep -q '\"cached_tokens\":0' '$out'"
stop
expect 'a folder that is not there' 3 serve -m $model --port 0 --prefix-cache-dir "$folder/none"

# ---- keys ----
printf '# keys\nsecret-1\n' >"$folder/keys"
start --api-key-file "$folder/keys" --cors-origin https://page.example
post /v1/chat/completions "$hi,\"max_tokens\":2}"
answers 'no key' 401 '"code":"invalid_api_key"'
post /v1/chat/completions "$hi,\"max_tokens\":2}" -H 'Authorization: Bearer secret-1'
answers 'a key' 200 '"finish_reason"'
post /v1/messages '{}' -H 'X-Api-Key: secret-2'
answers 'a wrong key' 401 'Incorrect API key'
check 'health asks for none' curl -sf "$base/health"
printf 'secret-2\n' >"$folder/keys"
kill -HUP $server
sleep 0.3
post /v1/chat/completions "$hi,\"max_tokens\":2}" -H 'X-Api-Key: secret-2'
answers 'new keys' 200 '"finish_reason"'
curl -s -D "$out" -o /dev/null -X OPTIONS -H 'Origin: https://page.example' "$base/v1/chat/completions"
says 'a page that is allowed' 'Access-Control-Allow-Origin: https://page.example' "$out"
stop

# ---- what clients read is English, whatever the operator's language ----

start --lang zh_CN
post /v1/chat/completions '{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":{"type":"bogus"}}}}'
answers 'a Chinese operator, English errors' 400 "schema #: 'bogus' is no type"
stop

expect 'a key file that is not there' 3 serve -m $model --port 0 --api-key-file "$folder/none"
expect 'an address that is none' 2 serve -m $model --port 0 --host 300.1.1.1
finish
