# What the program says to wrong arguments and missing files, and its exit codes.
. tests/shell.sh
model=tests/vectors/golden/text

expect 'no arguments: the overview' 0
says 'the overview lists the commands' '  generate   ' "$out"
check 'and nothing else is said' is_empty "$err"
expect '--help' 0 --help
expect '-h' 0 -h
expect '--version' 0 --version
check 'the version' grep -qE '^vinci [0-9]+\.[0-9]+\.[0-9]+$' "$out"
expect 'an unknown command' 2 genrate
says 'the nearest command' "did you mean 'generate'?" "$err"
check 'nothing on standard output' is_empty "$out"
expect 'nothing near' 2 xylophone
says 'where the commands are listed' "'vinci help' lists them" "$err"
expect 'an option before the command' 2 --model x generate
expect 'an unknown option' 2 generate --promt x
says 'the nearest option' "did you mean '--prompt'?" "$err"
expect 'a number out of range' 2 generate --top-p 2
says 'the range' '--top-p: expected a number from 0 to 1, got' "$err"
expect 'an operand too many' 2 generate text
expect 'help for an unknown command' 2 help genrate

# Without --model: the demonstration model beside the program, if there is one.
mkdir -p "$folder/lone/bin" "$folder/installed/bin" "$folder/installed/share/vinci"
cp "$BUILD/vinci" "$folder/lone/bin"
cp "$BUILD/vinci" "$folder/installed/bin"
cp -r $model "$folder/installed/share/vinci/nano"
if [ -z "$RUN" ]; then # an emulator is what /proc/self/exe would name
    "$folder/lone/bin/vinci" generate --prompt x >"$out" 2>"$err"
    check 'no model' [ $? -eq 2 ]
    says 'no model is said' 'give --model' "$err"
    "$folder/installed/bin/vinci" generate --prompt x -n 3 >"$out" 2>"$err"
    check 'the demonstration model' [ $? -eq 0 ]
    says 'is said' 'demonstration model' "$err"
fi
expect 'no prompt' 2 generate -m $model
expect 'two prompts' 2 generate -m $model --prompt a --prompt-file -
expect 'an empty prompt' 2 generate -m $model --prompt ''
expect 'a bad bias' 2 generate -m $model --prompt a --logit-bias 5
expect 'a bias beyond the vocabulary' 2 generate -m $model --prompt a --logit-bias 600=1
expect 'a model that is not there' 3 generate -m "$folder/none" --prompt x
says 'it is named' "$folder/none" "$err"
expect 'info of a missing model' 3 info -m "$folder/none"
mkdir "$folder/empty"
expect 'info of an empty folder' 3 info -m "$folder/empty"
echo 'not a model' >"$folder/text.gguf"
expect 'info of another file' 5 info -m "$folder/text.gguf"
expect 'a name that is empty' 2 info --model ''
mkdir "$folder/tiktoken"
cp tests/vectors/golden/tiny/config.json tests/vectors/golden/tiny/model.safetensors "$folder/tiktoken"
cp tests/vectors/tokenizer/o200k_base.tiktoken "$folder/tiktoken"
expect 'a model with a .tiktoken file beside it' 0 info --model "$folder/tiktoken"
says 'its tokenizer' 'o200k_base.tiktoken' "$out"
if mkfifo "$folder/fifo"; then
    timeout 20 "$BUILD/vinci" info --model "$folder/fifo" >"$out" 2>"$err"
    check 'a FIFO for a model does not hang' test $? -eq 4
fi
expect 'an unknown device' 9 generate -m $model --prompt x --device npu:0
expect 'an unknown level' 6 generate -m $model --prompt x --cpu-level mmx
expect 'a prompt beyond the context' 8 generate -m $model --prompt 'a b c d e f g h' --ctx 2
expect 'logits without files' 2 logits -m $model
echo '1 2 3' >"$folder/ids"
expect 'logits: a position too far' 2 logits -m $model --ids "$folder/ids" --positions 3 -o "$folder/o"
says 'logits: the positions there are' 'below 3' "$err"
expect 'logits: positions backwards' 2 logits -m $model --ids "$folder/ids" --positions 2-1 -o "$folder/o"
echo '1 2 600' >"$folder/ids"
expect 'logits: an id beyond the vocabulary' 8 logits -m $model --ids "$folder/ids" -o "$folder/o"
echo '1 2 x' >"$folder/ids"
expect 'logits: not an id' 5 logits -m $model --ids "$folder/ids" -o "$folder/o"
echo '1 2 3' >"$folder/ids"
expect 'logits: no such folder for the output' 3 logits -m $model --ids "$folder/ids" -o "$folder/no/o"
says 'logits: what failed' 'cannot create: No such file' "$err"
check 'logits: nothing is left after a failure' test ! -e "$folder/o"
expect 'logits: beyond the context' 8 logits -m $model --ids "$folder/ids" --greedy 9 --ctx 10 -o "$folder/o"
says 'logits: how far beyond' '3 prompt tokens and --greedy 9 take 11 positions, and the context has 10' "$err"
expect 'logits: up to the end of the context' 0 logits -m $model --ids "$folder/ids" --greedy 8 --ctx 10 -o "$folder/o"
expect 'logits: a chunk larger than any step' 0 logits -m $model --ids "$folder/ids" --chunk 1000000 -o "$folder/o"
expect 'logits: no ids' 3 logits -m $model --ids "$folder/none" -o "$folder/o"
says 'logits: that they are not there' 'none: cannot open: No such file' "$err"
expect 'synth without a shape' 2 synth --out "$folder/synth"
expect 'synth: a format of matrices that safetensors does not take' 2 synth --shape tiny --dense f32 --out "$folder/synth"
expect 'synth: shards of a GGUF file' 2 synth --shape tiny --format gguf --shard-size 1M --out "$folder/synth"
expect 'synth: a file that is no tokenizer' 6 synth --shape tiny --tokenizer "$folder/ids" --out "$folder/synth"
(
    ulimit -f 10
    vinci synth --shape tiny --out "$folder/synth" >"$out" 2>"$err"
)
check 'synth: files that may not grow: status 4' test $? -eq 4
check 'synth: nothing is left' test -z "$(ls -d "$folder"/synth* 2>/dev/null)"
expect 'bench: an empty batch' 2 bench -m $model --batch-size 0
finish
