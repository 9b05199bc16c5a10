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

# The machine's limits: one line a number of threads, medians between least and most.
expect 'bench --limits needs no model' 0 bench --limits --threads 2 --repeat 2
# limits_agree FILE N: N lines of threads 1 to N, three figures each with their range.
limits_agree()
{
    awk -v n="$2" '/^ +[0-9]+ / { gsub(/[()]/, ""); lines++; if ($1 != lines || NF != 13) bad = 1
        for (i = 2; i < NF; i += 4) if (!($i > 0 && $(i + 1) <= $i && $i <= $(i + 3))) bad = 1 }
        END { exit bad || lines != n }' "$1"
}
check 'bench --limits: one and two threads, medians in their ranges' limits_agree "$out" 2
sed 's/^\( *2 *[0-9.]* *(\)/\19999/' "$out" >"$folder/wrong"
if limits_agree "$folder/wrong" 2; then not_ok 'a wrong range is seen'; else ok 'a wrong range is seen'; fi

# The matrix: every combination in one line each, and the JSON says the same.
expect 'bench: the matrix' 0 bench -m $model --pp 16,40 --tg 6 --depth 0,50 --batch 1,3 --ttft 8,20 --repeat 3 \
    --json "$folder/speed.json" --threads 2
for line in "model    $model" 'device   cpu, ' 'load     ' 'weights  328 kB read per token'; do
    says "the matrix prints '$line'" "$line" "$out"
done
awk '/^(prefill|decode) / { print $1, $2, $3, $4 } /^first token / { print "first", $3, $4, $5 }' "$out" >"$folder/lines"
cat >"$folder/wanted" <<END
prefill 16 0 1
prefill 40 0 1
decode 6 0 1
decode 6 0 3
prefill 16 50 1
prefill 40 50 1
decode 6 50 1
decode 6 50 3
first 8 0 1
first 20 0 1
END
check 'the matrix has every combination' cmp "$folder/wanted" "$folder/lines"
matrix_agrees()
{
    awk '/^(prefill|decode|first) / { gsub(/[()]/, ""); sub(/first token/, "first"); lines++
        if (!($5 > 0 && $6 <= $5 && $5 <= $8)) bad = 1
        if ($1 == "first" && ($5 * $10 - $2)^2 > (0.2 * $2 + $5 * 0.0001)^2) bad = 1 } # 4 decimals
        END { exit bad || lines != 10 }' "$1"
}
check 'the matrix: medians in their ranges, waits and speeds agree' matrix_agrees "$out"
sed 's/after 0/after 5/' "$out" >"$folder/wrong"
if matrix_agrees "$folder/wrong"; then not_ok 'a wrong wait is seen'; else ok 'a wrong wait is seen'; fi
for key in vinci model device cpu_level threads load_seconds bytes_per_token results; do
    grep -q "^  \"$key\": " "$folder/speed.json" || not_ok "bench --json: no key $key"
done
# Each result of three samples: the median of tokens over seconds is the speed.
json_agrees()
{
    awk -F '[:,]' '/"test": "/ { results++ } /"tokens":/ { tokens = $2 } /"batch":/ { batch = $2 }
        /"tokens_per_second":/ { speed = $2 } /"samples_seconds":/ { taking = 1; n = 0; next }
        taking && /\]/ { taking = 0
            if (n != 3) bad = 1
            for (i = 1; i <= 3; i++) { below = 0
                for (j = 1; j <= 3; j++) below += x[j] < x[i] || (x[j] == x[i] && j < i)
                if (below == 1) median = x[i] }
            if ((tokens * batch / median - speed)^2 > (0.01 * speed)^2) bad = 1 }
        taking { x[++n] = $1 }
        END { exit bad || results != 10 }' "$1"
}
check 'bench --json: samples and speeds agree' json_agrees "$folder/speed.json"
sed 's/"tokens": 6/"tokens": 7/' "$folder/speed.json" >"$folder/wrong"
if json_agrees "$folder/wrong"; then not_ok 'a wrong speed is seen'; else ok 'a wrong speed is seen'; fi
vinci bench --limits --threads 1 --repeat 1 --json - >"$out" 2>"$err"
check '--json -: standard output begins as JSON' grep -qx '{' "$out"
says 'the table is on standard error' 'limits of this machine' "$err"
says 'the limits in JSON' '"int8_operations_per_second": {' "$out"

expect 'bench: a list that is none' 2 bench -m $model --tg 8 --batch 1,,4
says 'the list is shown' "got '1,,4'" "$err"
expect 'bench: --batch without --tg' 2 bench -m $model --pp 8 --batch 2
expect 'bench: --depth with nothing to time' 2 bench -m $model --depth 8
expect 'bench: --json with nothing to write' 2 bench -m $model --json -
expect 'bench: two forms at once' 2 bench -m $model --pp 8 -n 4
expect 'bench: more tokens than the context holds' 8 bench -m $model --prompt hello --ctx 60 -n 100
expect 'bench: the matrix on an empty model name' 2 bench -m '' --pp 8
expect 'bench: the matrix beyond the context' 8 bench -m $model --ctx 16 --pp 20 --repeat 1
expect 'bench: generating beyond the context' 8 bench -m $model --ctx 16 --tg 20 --repeat 1
expect 'bench: JSON into a folder that is not there' 4 bench --limits --threads 1 --repeat 1 --json "$folder/no/file"

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
