# compatibility.sh CHECKOUT FOLDER: openai/gpt-oss's own compatibility test (30 cases, both APIs)
# against scripted answers: the shapes of requests and answers, not the model's choices. CHECKOUT is
# the repository's compatibility-test, FOLDER gets a copy with its packages. Run by
# tools/test-clients.
set -eu
BUILD=${BUILD:-build}
mkdir -p "$2"
cp -R "$1"/. "$2/"
python3 - "$2/cases.jsonl" >"$2/script.jsonl" <<'END'
import json, sys
print(json.dumps({"when": " to=assistant", "text": "<|channel|>analysis<|message|>The tool has "
    "answered.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>"}))
for line in open(sys.argv[1]):
    case = json.loads(line)
    print(json.dumps({"when": case["input"], "text": "<|channel|>analysis<|message|>A tool is needed."
        "<|end|><|start|>assistant<|channel|>commentary to=functions." + case["tool_name"] +
        " <|constrain|>json<|message|>" + case["expected_arguments"] + "<|call|>"}))
END
rm -f "$2/address"
"$BUILD/vinci" serve -m models/nano --alias openai/gpt-oss-120b --script "$2/script.jsonl" --port 0 \
    >"$2/address" 2>"$2/log" &
server=$!
trap 'kill $server' EXIT
for _ in 1 2 3 4 5 6 7 8 9; do
    [ -s "$2/address" ] && break
    sleep 1
done
sed -i "s|http://localhost:8000|$(cat "$2/address")|" "$2/providers.ts"
cd "$2"
[ -d node_modules ] || { npm ci --silent --no-audit --no-fund; npm i --silent --no-save tsx; }
npx tsx index.ts --provider vllm -k 1 --strict >result 2>&1 </dev/null || true
grep -aE "pass\^k \(k=1\)|Invalid|Wrong|Total" result
grep -aqF "pass^k (k=1): 1.000" result && grep -aqF "Wrong-input tool calls: 0" result
