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
expect 'bench: two forms at once' 2 bench -m $model --pp 8 -n 4
expect 'bench: more tokens than the context holds' 8 bench -m $model --prompt hello --ctx 60 -n 100
expect 'bench: the matrix on an empty model name' 2 bench -m '' --pp 8
expect 'bench: the matrix beyond the context' 8 bench -m $model --ctx 16 --pp 20 --repeat 1
expect 'bench: generating beyond the context' 8 bench -m $model --ctx 16 --tg 20 --repeat 1
expect 'bench: JSON into a folder that is not there' 4 bench --limits --threads 1 --repeat 1 --json "$folder/no/file"

# Ranges, and llama-bench's form: numbers behind -p, -n, -d and -b.
expect 'bench: llama-bench form' 0 bench -m $model -p 8-16*2 -n 4 -d 0,10 -b 1-3+2 -r 2 --threads 2
awk '/^(prefill|decode) / { print $1, $2, $3, $4 }' "$out" >"$folder/lines"
printf '%s\n' 'prefill 8 0 1' 'prefill 16 0 1' 'decode 4 0 1' 'decode 4 0 3' \
    'prefill 8 10 1' 'prefill 16 10 1' 'decode 4 10 1' 'decode 4 10 3' >"$folder/wanted"
check 'its lists and ranges' cmp "$folder/wanted" "$folder/lines"
expect 'bench: a range that is none' 2 bench -m $model --pp 9-3
expect 'bench: a prompt that is no list' 0 bench -m $model -p '16 apples' -n 2 --warmup 0 --iters 1
says 'it is a prompt' 'prompts          1:' "$out"

# Formats. What goes to standard output can be read by programs alone.
expect 'bench -o csv' 0 bench -m $model --pp 8 --tg 4 --repeat 2 --threads 1 -o csv --json "$folder/record"
cp "$out" "$folder/csv"
for format in json jsonl md; do
    expect "bench -o $format" 0 bench --from "$folder/record" -o $format
    cp "$out" "$folder/$format"
done
head -n 1 "$folder/csv" >"$out"
for key in cpu_info model_filename n_prompt n_gen n_depth avg_ts stddev_ts median_ts; do
    grep -q "\(^\|,\)$key\(,\|$\)" "$out" || not_ok "bench -o csv: no column $key"
done
check 'csv: a head and two lines of as many fields' \
    awk -F , 'NR == 1 { n = NF } NF != n { bad = 1 } END { exit bad || NR != 3 }' "$folder/csv"
check 'jsonl: two lines' test "$(grep -c '^{.*"samples_ts":\[.*}$' "$folder/jsonl")" -eq 2
check 'json: an array' test "$(head -c 1 "$folder/json")" = '['
check 'md: a table' test "$(grep -c '^| ' "$folder/md")" -eq 4
expect 'bench: -o without a matrix' 2 bench -m $model -n 2 --iters 1 -o csv

# The record, and what is made from it later.
expect 'bench --json' 0 bench -m $model --pp 8,16 --tg 4 --batch 1,2 --repeat 6 --threads 1 \
    --json "$folder/before.json" --report "$folder/report.html" --svg "$folder/main.svg" --chart
says 'the chart in the terminal' '█' "$err"
for key in environment usage memory peak processor kernel model_fingerprint median_low median_coverage spread trend_p; do
    grep -q "\"$key\":" "$folder/before.json" || not_ok "bench --json: no key $key"
done
for word in '<!DOCTYPE html>' 'Summary' 'tokens per second (measured)' 'roofline' 'Where it was measured' '<svg' '@media print'; do
    says "the report has $word" "$word" "$folder/report.html"
done
grep -oE '(src|href|url\(|https?:)[^ >]*' "$folder/report.html" | grep -v 'http://www.w3.org/2000/svg' >"$folder/links"
check 'the report names no address' is_empty "$folder/links"
says 'the chart is SVG' '<svg xmlns="http://www.w3.org/2000/svg"' "$folder/main.svg"
if command -v xmllint >/dev/null; then
    check 'the chart is sound XML' xmllint --noout "$folder/main.svg"
fi
expect 'bench: the report in Chinese' 0 bench --from "$folder/before.json" --report "$folder/zh.html" --lang zh_CN
says 'its language' '<html lang="zh-CN">' "$folder/zh.html"
says 'its words' '小结' "$folder/zh.html"
expect 'bench: no record' 5 bench --from tests/shell.sh --report "$folder/no.html"
expect 'bench: a record that is not there' 3 bench --from "$folder/nothing" --report "$folder/no.html"

# A run twice as fast is seen as such; the same run is not.
expect 'bench --compare: the same' 0 bench --compare "$folder/before.json" "$folder/before.json"
if grep -qE 'faster|slower' "$out"; then not_ok 'no difference where there is none'; else ok 'no difference where there is none'; fi
awk '/"samples_seconds": \[/ { taking = 1 } /\]/ { taking = 0 }
    taking && /^ +[0-9.e-]+,?$/ { comma = /,/ ? "," : ""; sub(/,/, ""); print $1 / 100 comma; next } { print }' \
    "$folder/before.json" >"$folder/after.json"
expect 'bench --compare: a hundred times as fast' 0 bench --compare "$folder/before.json" "$folder/after.json"
check 'all four tests are faster' test "$(grep -c faster "$out")" -eq 4
expect 'bench --compare in JSON' 0 bench --compare "$folder/before.json" "$folder/after.json" -o json --report "$folder/both.html"
check 'ratios near 100' awk '/"ratio":/ { n++; if ($2 + 0 < 10) bad = 1 } END { exit bad || n != 4 }' "$out"
says 'the report compares' 'Before and after' "$folder/both.html"
says 'with what is more than chance' '<th>p (Holm)</th>' "$folder/both.html"
says 'in words' 'are faster and 0 slower' "$folder/both.html"
expect 'bench --compare: JSON into a file, the chart of both' 0 bench --compare "$folder/before.json" \
    "$folder/after.json" --json "$folder/both.json" --svg "$folder/both.svg" --chart
check 'the file has all four tests' test "$(grep -c '"verdict": "faster"' "$folder/both.json")" -eq 4
says 'the table all the same' 'p (Holm)' "$out"
says 'the chart has both runs' '>before</text>' "$folder/both.svg"
says 'the chart in letters' 'the run before being 100 %' "$out"
expect 'bench --compare: no other formats' 2 bench --compare "$folder/before.json" "$folder/after.json" -o csv
expect 'bench --from alone draws the chart' 0 bench --from "$folder/before.json"
says 'in letters' 'pp16' "$out"
# Noise is called noise: repetitions at both depths that lie in each other's range.
vinci bench -m $model --tg 4 --depth 0,20 --repeat 6 --threads 1 --json "$folder/depth.json" >"$out" 2>"$err"
awk '/"samples_seconds": \[/ { taking = 1; n = 0 } /\]/ { taking = 0 }
    taking && /^ +[0-9.e-]+,?$/ { print (++n + 10 + rows % 2 / 2) / 1000 (/,/ ? "," : ""); next }
    /"test":/ { rows++ } { print }' "$folder/depth.json" >"$folder/noise.json"
expect 'bench: a report of noise' 0 bench --from "$folder/noise.json" --report "$folder/noise.html"
says 'it says so' 'do not tell that from chance' "$folder/noise.html"
expect 'bench --compare needs two' 2 bench --compare "$folder/before.json"
expect 'bench: a file without --compare' 2 bench "$folder/before.json"

# Prompts side by side, and loading.
printf 'Hello\n\n中文的提示\nOnce upon a time there was a longer one\n' >"$folder/prompts"
expect 'bench --prompts' 0 bench -m $model --prompts "$folder/prompts" -n 4 -r 3 --threads 1 --json "$folder/prompts.json"
check 'three prompts' test "$(grep -cE '^ +[1-3] +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9.]+  ' "$out")" -eq 3
says 'their text' '中文的提示' "$out"
expect 'bench --prompts: an empty file' 2 bench -m $model --prompts /dev/null
expect 'bench --load' 0 bench -m $model --load -r 2 --json "$folder/load.json"
says 'cold' 'cold' "$out"
says 'the record has it' '"first_token_seconds":' "$folder/load.json"
for kind in prompts load; do
    expect "bench --chart: $kind" 0 bench --from "$folder/$kind.json" --chart --report "$folder/$kind.html"
    check 'it has bars' grep -q '█' "$out"
    check 'the summary is not empty' grep -q '^<li>.*(measured)' "$folder/$kind.html"
done
expect 'bench: an option that is nearly one' 2 bench --iterations 3
says 'which one' "did you mean '--iters'?" "$err"
expect 'bench: help in two words' 0 help bench serve
says 'as it is typed' 'usage: vinci bench serve [OPTION]...' "$out"
ASCEND_HOME_PATH=$BUILD/npu_sim vinci bench --device npu:0 -m $model --tg 4 -r 2 --json "$folder/npu.json" \
    --report "$folder/npu.html" >"$out" 2>"$err"
says 'an NPU is named' 'device   npu:0, Ascend 910B3, CANN 8.5.0' "$out"
for key in cann upload_bytes upload_seconds memory_bytes busy_most memory_most temperature_most power_most npu_memory; do
    grep -q "\"$key\":" "$folder/npu.json" || not_ok "bench on an NPU: no key $key"
done
says 'its figures are in the report' '<th>temperature_most</th>' "$folder/npu.html"
expect 'bench --compare: prompts' 0 bench --compare "$folder/prompts.json" "$folder/prompts.json"
check 'three prompts, read and continued' test "$(grep -cE '^prompt [1-3], .*\+0\.0 %' "$out")" -eq 6
expect 'bench --compare: loading' 0 bench --compare "$folder/load.json" "$folder/load.json" -o json
check 'four times in seconds' test "$(grep -c '"unit": "s"' "$out")" -eq 4
expect 'bench --compare: nothing in common' 2 bench --compare "$folder/load.json" "$folder/prompts.json"
vinci bench --from "$folder/before.json" --png "$folder/main.png" 2>"$err"
if [ $? -eq 6 ]; then
    skip 'bench --png: built without librsvg'
else
    check 'the chart is PNG' test "$(head -c 4 "$folder/main.png" | tail -c 3)" = PNG
fi

# Estimates: of an NPU from a model, of this machine from its limits.
expect 'bench --estimate' 0 bench --estimate --device npu:0 -m $model --json "$folder/estimate.json"
says 'it says what it is' 'ESTIMATE for an Ascend 910B3, not a measurement' "$out"
check 'eight lines in JSON' test "$(grep -c '"estimated": true' "$folder/estimate.json")" -eq 8
expect 'bench --estimate on a CPU' 2 bench --estimate -m $model
says 'what does' 'vinci advise' "$err"
ASCEND_HOME_PATH=$BUILD/npu_sim vinci advise -m $model >"$out" 2>"$err"
says 'advise knows the NPU' 'npu:0       Ascend 910B3' "$out"
says 'and the command' "vinci chat -m $model --device npu:0" "$out"
awk 'length > 80 && !/vinci/' "$out" >"$folder/long"
check 'advise: 80 columns' is_empty "$folder/long"
expect 'advise --json: no model' 3 advise -m "$folder/nothing" --json
says 'as JSON' '"exit_code": 3' "$out"

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
