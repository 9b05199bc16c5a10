# `vinci generate` and `vinci logits` as programs: options, forms of output, the same bits whatever
# the cut.
. tests/shell.sh
model=tests/vectors/golden/text

# text ARGUMENT...: generates with them into $out.
text()
{
    vinci generate -m $model "$@" >"$out" 2>"$err"
}

text -p 'Hello, my name is' -n 24
cp "$out" "$folder/text"
check 'a text' test -s "$folder/text"
text -p 'Hello, my name is' -n 24 --threads 1
check 'one thread: the same' cmp "$folder/text" "$out"
text -p 'Hello, my name is' -n 24 --cpu-level scalar
check 'scalar kernels: the same' cmp "$folder/text" "$out"
text -p 'Hello, my name is' -n 24 --top-k 5 --seed 3
check 'temperature 0 draws nothing' cmp "$folder/text" "$out"
printf 'Hello, my name is' >"$folder/prompt"
text -f "$folder/prompt" -n 24
check 'a prompt from a file' cmp "$folder/text" "$out"
vinci generate -m $model -f - -n 24 <"$folder/prompt" >"$out" 2>"$err"
check 'a prompt from a pipe' cmp "$folder/text" "$out"
text -p 'Hello, my name is' -n 5
check 'fewer tokens are a beginning' sh -c "head -c $(wc -c <"$out") '$folder/text' | cmp - '$out'"

text -p Hello -n 24 --temperature 1 --seed 5
cp "$out" "$folder/drawn"
text -p Hello -n 24 --temperature 1 --seed 5 --threads 1
check 'the same seed, the same text' cmp "$folder/drawn" "$out"
text -p Hello -n 24 --temperature 1 --seed 6
if cmp -s "$folder/drawn" "$out"; then not_ok 'another seed, the same text'; else ok 'another seed, another text'; fi
text -p Hello -n 24 --temperature 1 --seed 5 --top-k 1 --min-p 0.1 --top-p 0.9 --repetition-penalty 1.1 \
    --presence-penalty 0.5 --frequency-penalty 0.5
check 'all sampling options' test $? -eq 0 -a -s "$out"

# Whatever the text is: its fifth to eighth byte as a stop string cut it at four bytes or before.
head -c 8 "$folder/text" | tail -c 4 >"$folder/stop"
text -p 'Hello, my name is' -n 24 --stop 'never said' --stop "$(cat "$folder/stop")"
check 'a stop string' sh -c "head -c $(wc -c <"$out") '$folder/text' | cmp - '$out' && [ $(wc -c <"$out") -le 4 ]"

echo '1 2 3 4 5' >"$folder/ids"
vinci generate -m $model --ids "$folder/ids" -n 6 >"$out" 2>"$err"
check 'ids in, ids out' grep -qE '^[0-9]+( [0-9]+){5}$' "$out"
cp "$out" "$folder/continuation"
echo '[1, 2, 3, 4, 5]' | vinci generate -m $model --ids - -n 6 >"$out" 2>"$err"
check 'a JSON array of ids' cmp "$folder/continuation" "$out"
first=$(cut -d ' ' -f 1 "$folder/continuation")
vinci generate -m $model --ids "$folder/ids" -n 1 --logit-bias "$first=-1000" >"$out" 2>"$err"
if [ "$(cat "$out")" = "$first" ]; then not_ok 'a logit bias'; else ok 'a logit bias'; fi

text -p Hello -n 3 --logprobs 2
check 'log-probabilities: a line a token' test "$(wc -l <"$out")" -eq 3
check 'log-probabilities: the form' sh -c "! grep -vE '^\{\"id\":[0-9]+,\"token\":\".*\",\"logprob\":-[0-9.e-]+,\"top\":\[\{.*\},\{.*\}\]\}\$' '$out'"
text -p Hello -n 3 --stats
for word in load prefill decode memory 'tokens/s' 'KV cache'; do
    says "--stats has $word" "$word" "$err"
done
text -p '<|endoftext|>' -n 2 --special
check 'a special token in the prompt' test $? -eq 0

# logits: every cut, thread count and kernel gives the same file.
awk 'BEGIN { for (i = 0; i < 100; i++) print i * 7 % 600 }' >"$folder/ids"
logits()
{
    vinci logits -m $model --ids "$folder/ids" --greedy 5 -o "$folder/$1" --threads 2 >"$out" 2>"$err"
    shift
    vinci logits -m $model --ids "$folder/ids" --greedy 5 -o "$folder/b" "$@" >"$out" 2>"$err" &&
        cmp "$folder/a" "$folder/b"
}
for options in '--threads 1' '--threads 7' '--chunk 1' '--chunk 16' '--chunk 100 --positions all' '--cpu-level scalar' \
    '--positions 0-99' '--positions 99,0-98'; do
    # shellcheck disable=SC2086
    check "logits $options: the same file" logits a $options
done
check 'logits: nothing on standard output' is_empty "$out"
if logits a --activations f32 >/dev/null; then
    not_ok 'logits: float activations give other bits'
else
    ok 'logits: float activations give other bits'
fi
vinci logits -m $model --ids "$folder/ids" --positions last -o "$folder/last" 2>"$err"
check 'logits: the last position' test "$(wc -c <"$folder/last")" -lt 5000
echo old >"$folder/last"
vinci logits -m $model --ids "$folder/ids" --positions last -o "$folder/last" 2>"$err"
check 'logits: a file there is replaced' test "$(wc -c <"$folder/last")" -gt 2000
expect 'logits: not over a device' 6 logits -m $model --ids "$folder/ids" -o /dev/null
check 'logits: the device is still there' test -c /dev/null
find "$folder" -name '*.??????' >"$folder/left"
check 'logits: no temporary file is left' is_empty "$folder/left"
finish
