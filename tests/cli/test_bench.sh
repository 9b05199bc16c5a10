# `vinci bench`: the form of its output, which people's scripts read, and `vinci info`.
. tests/shell.sh
model=tests/vectors/golden/text

expect bench 0 bench --model-path $model --device cpu --batch-size 1 --max-new-tokens 8 --warmup 1 --iters 3
for line in "model            $model" 'device           cpu, ' 'batch size       1' 'prompts          2:' \
    'load             ' 'iteration 1      ' 'iteration 3      ' 'iterations       3' 'total            ' \
    'average          ' 'tokens generated 48' 'tokens/s         ' 'memory           '; do
    says "bench prints '$line'" "$line" "$out"
done
if grep -q 'iteration 4' "$out"; then not_ok 'three iterations'; else ok 'three iterations'; fi
says 'the warm-up is on standard error' 'warm-up 1' "$err"
# The sums are the iterations'.
awk '/^iteration / { n++; sum += $3 } /^total / { total = $2 } /^average / { average = $2 }
    /^tokens generated/ { tokens = $3 } /^tokens\/s/ { speed = $2 }
    function near(a, b) { return a - b < 0.001 * b + 0.001 && b - a < 0.001 * b + 0.001 }
    END { exit !(n == 3 && near(sum, total) && near(average, sum / 3) &&
          (speed - tokens / total)^2 < (0.02 * speed)^2) }' "$out"
check 'the figures agree with each other' test $? -eq 0

expect 'bench: several at once' 0 bench -m $model -b 3 -n 4 --warmup 0 --iters 2 -p Hello
says 'three requests of four tokens, twice' 'tokens generated 24' "$out"
expect 'bench: prompts fill the batch' 0 bench -m $model -b 2 -n 4 --warmup 0 --iters 1 -p a -p b -p c
says 'three prompts in two batches of two' 'tokens generated 16' "$out"
expect 'bench: no NPU' 0 bench -m $model --device npu:0 -n 2 --warmup 0 --iters 1
says 'the warning' "the figures are the CPU's" "$err"
says 'the device is the CPU' 'device           cpu' "$out"
expect 'bench: --use-fp16' 0 bench -m $model --use-fp16 -n 2 --warmup 0 --iters 1
says 'what it means on a CPU' '--use-fp16: on the CPU' "$err"
expect 'bench: beyond the context' 8 bench -m $model --ctx 16 -n 100 --warmup 0 --iters 1

expect info 0 info -m $model
for word in 'Hugging Face safetensors' 'layers' 'experts     8, 4 used' 'MXFP4' 'BF16' 'per token' 'tokenizer   tokenizer.json'; do
    says "info has $word" "$word" "$out"
done
awk 'length > 80' "$out" >"$folder/long"
check 'info: 80 columns' is_empty "$folder/long"
expect 'info --json' 0 info -m $model --json
for key in path container files tensors layers sliding_layers sliding_window hidden intermediate vocab heads kv_heads \
    head_dim experts experts_used context rope rms_norm_eps swiglu_limit tied_embeddings parameters \
    active_parameters file_bytes weight_bytes bytes_per_token kv_bytes_per_token kv_window_bytes \
    converted_bytes dtypes tokenizer; do
    grep -q "^  \"$key\": " "$out" || not_ok "info --json: no key $key"
done
says 'info --json: an epsilon of few digits' '"rms_norm_eps": 1e-5' "$out"
finish
