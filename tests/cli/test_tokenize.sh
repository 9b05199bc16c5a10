# vinci tokenize: the vectors through --jsonl, what people see, wrong lines.
. tests/shell.sh
vectors=tests/vectors/text
tokenizer=tests/vectors/tokenizer/o200k_base.tiktoken
small=tests/vectors/golden/text

# answer FILE OPTION...: what vinci answers to the lines of a file.
answer()
{
    file=$1
    shift
    vinci tokenize --tokenizer $tokenizer --jsonl "$@" <"$file" >"$out" 2>"$err"
}

# The questions and the answers of a vector file; lines that depend on the regex library are left out.
split()
{
    grep -v -e after_unicode_14 -e ids_tiktoken "$vectors/$1" >"$folder/lines"
    sed "$2" "$folder/lines" >"$folder/questions"
    sed "$3" "$folder/lines" >"$folder/answers"
}
ids='s/.*"ids":\(\[[0-9,]*\]\).*/{"ids":\1}/'

split encode.jsonl 's/,"ids":\[[0-9,]*\]}$/}/' "$ids"
check 'texts are answered' answer "$folder/questions"
check 'with their ids' cmp "$folder/answers" "$out"
split encode_special.jsonl 's/,"ids":\[[0-9,]*\]}$/}/' "$ids"
check 'texts with special tokens are answered' answer "$folder/questions" --special
check 'with their ids' cmp "$folder/answers" "$out"
check 'without --special' answer "$folder/questions"
if cmp -s "$folder/answers" "$out"; then not_ok 'other ids without --special'; else ok 'other ids without --special'; fi
split encode_bytes.jsonl 's/,"text".*/}/' 's/.*"ids":\(\[[0-9,]*\]\),"byte_ids".*/{"ids":\1}/'
check 'bytes are answered' answer "$folder/questions"
check 'with their ids' cmp "$folder/answers" "$out"
split decode.jsonl 's/,"hex".*/}/' 's/^{"ids":\[[0-9,]*\],/{/'
check 'ids are answered' answer "$folder/questions"
# The same strings in other escapes: upper case here, lower case and a DEL there.
tr A-F a-f <"$out" >"$folder/lower"
sed "s/\\\\u007f/$(printf '\177')/g" "$folder/answers" | tr A-F a-f >"$folder/expected"
check 'with bytes and stream' cmp "$folder/expected" "$folder/lower"

printf ' \n{"ids":[64]}\r\n\n{"text":"a\\u0000b"}' >"$folder/questions"
check 'empty lines, CR LF, no last newline' answer "$folder/questions"
check 'two answers' test "$(cat "$out")" = '{"hex":"61","stream":["a",""]}
{"ids":[64,188,65]}'

# wrong LINE TEXT: status 5, an error that names line 2, the first answer all the same.
wrong()
{
    printf '{"text":"a"}\n%s\n' "$1" >"$folder/questions"
    answer "$folder/questions"
    check "refused: $1" test $? -eq 5
    says "in words: $1" "standard input: line 2: $2" "$err"
    check "the line before is answered: $1" test "$(cat "$out")" = '{"ids":[64]}'
}
wrong 'x' ''
wrong '{"text":1}' 'expected {"text": TEXT}'
wrong '{"text":"a","hex":"61"}' 'expected {"text": TEXT}'
wrong '[]' 'expected {"text": TEXT}'
wrong '{"hex":"6"}' 'hex: expected pairs'
wrong '{"hex":"6g"}' 'hex: expected pairs'
wrong '{"ids":[64,201088]}' "ids[1]: expected a token's id, below 201088"
wrong '{"ids":[-1]}' 'ids[0]'
wrong '{"ids":["1"]}' 'ids[0]'
wrong '{"ids":[99999999999]}' 'ids[0]'

expect 'ids and pieces' 0 tokenize --tokenizer $tokenizer --text 'Hi 🤖<|end|>'
check 'one line each' test "$(cat "$out")" = '12194	"Hi"
93643	" �"	20f09fa4
244	"�"	96
27	"<"
91	"|"
419	"end"
91	"|"
29	">"'
expect 'ids alone' 0 tokenize --tokenizer tests/vectors/tokenizer --special --ids --text 'Hi<|end|>'
check 'on one line' test "$(cat "$out")" = '12194 200007'
expect 'a model' 0 tokenize --model $small --ids --text Hello
check 'its tokenizer' test "$(cat "$out")" = '39 283 75 78'
printf 'Hello' >"$folder/text"
expect 'a file' 0 tokenize -m $small --ids -f "$folder/text"
check 'the same ids' test "$(cat "$out")" = '39 283 75 78'
expect 'nothing' 0 tokenize -m $small --text ''
check 'no lines' is_empty "$out"
expect 'an empty model name' 2 tokenize -m '' --text x
expect 'no text' 2 tokenize --tokenizer $tokenizer
expect 'a tokenizer that is not there' 3 tokenize --tokenizer "$folder/none" --text x
expect 'a file that is no tokenizer' 5 tokenize --tokenizer "$folder/text" --text x
finish
