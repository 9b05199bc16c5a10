# `vinci bench serve` and `vinci top` against a real server on the small model.
. tests/shell.sh
. tests/server.sh

start
url=$(echo "$base" | grep -o 'http://[0-9.:]*')
check 'the server prints its address' test -n "$url"

expect 'bench serve' 0 bench serve --base-url "$url/" --num-prompts 6 --max-concurrency 2 \
    --random-input-len 16 --random-output-len 8 --ignore-eos --json "$folder/serve.json"
says 'six requests' 'requests     6 done, 0 failed' "$out"
says 'eight tokens each' '48 generated' "$out"
says 'the record counts them' '"total_output_tokens": 48' "$folder/serve.json"
expect 'bench: a report of a server' 0 bench --from "$folder/serve.json" --report "$folder/serve.html"
says 'in words' '6 requests in' "$folder/serve.html"
says 'its times' 'How long requests wait' "$folder/serve.html"
expect 'bench --compare: a server with itself' 0 bench --compare "$folder/serve.json" "$folder/serve.json"
check 'three times, no difference' test "$(grep -c '+0\.0 %.*may be chance' "$out")" -eq 3
expect 'bench serve: no such model' 1 bench serve --base-url "$url" --num-prompts 1 --model nothing
says 'it names the model there is' 'nano' "$err"

expect 'top: a line a sample' 0 top --url "$url" --interval 0.1 --count 2
check 'two lines with the server' test "$(grep -c ' running=0 waiting=0 ' "$out")" -eq 2
if grep -qE -- '-[%/]|-(s|ms)( |$)' "$out"; then not_ok 'top: what is not known has no unit'; else ok 'top: what is not known has no unit'; fi
expect 'top --json' 0 top --url "$url" --interval 0.1 --count 1 --json
says 'the server in JSON' '"server":{"running":' "$out"

stop
expect 'top: the server is gone' 0 top --url "$url" --interval 0.1 --count 1 --json
says 'no server in JSON' '"server":null' "$out"
expect 'bench serve: the server is gone' 3 bench serve --base-url "$url" --num-prompts 1
finish
