# What the option tables become: help of 80 columns, completions that shells accept and use, a manual
# page that man takes without a warning.
. tests/shell.sh

all=$(vinci --help | awk '/^  [a-z]/ { print $1 }')
check 'there are commands' test -n "$all"
for command in '' $all; do
    # shellcheck disable=SC2086
    vinci help $command >"$out" 2>"$err"
    check "help $command: nothing on standard error" is_empty "$err"
    awk 'length > 80' "$out" >"$folder/long"
    check "help $command: 80 columns" is_empty "$folder/long"
    [ -z "$command" ] || vinci "$command" --help >"$folder/help"
    [ -z "$command" ] || check "$command --help is the same" cmp "$out" "$folder/help"
done

vinci help --completions bash >"$folder/vinci.bash"
vinci help --completions zsh >"$folder/_vinci"
vinci help --completions fish >"$folder/vinci.fish"
vinci help --man >"$folder/vinci.1"
expect 'completions for another shell' 2 help --completions tcsh

# Every option of every command is in each of them.
for command in $all; do
    vinci help "$command" | sed -n 's/^  *\(-., \)\{0,1\}--\([a-z0-9-]*\).*/\2/p' >"$folder/options"
    while read -r option; do
        grep -q -- "--$option" "$folder/vinci.bash" || not_ok "bash: $command --$option"
        grep -q -- "--$option" "$folder/_vinci" || not_ok "zsh: $command --$option"
        grep -q "from $command' -l $option" "$folder/vinci.fish" || not_ok "fish: $command --$option"
        grep -q "$(echo "--$option" | sed 's/-/\\\\-/g')" "$folder/vinci.1" ||
            not_ok "manual: $command --$option"
    done <"$folder/options"
done
ok 'all options are in the completions and in the manual'

# offers WORD...: what bash offers for the last word.
offers()
{
    bash -c '. "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        compopt() { :; }
        _vinci; printf "%s\n" "${COMPREPLY[@]}"' bash "$folder/vinci.bash" vinci "$@" >"$out" 2>"$err"
}
if command -v bash >/dev/null; then
    check 'bash: it parses' bash -n "$folder/vinci.bash"
    offers gen
    check 'bash: a command' test "$(cat "$out")" = generate
    offers generate --temp
    check 'bash: an option' test "$(cat "$out")" = --temperature
    offers logits --kv f3
    check 'bash: a word' test "$(cat "$out")" = f32
    offers generate -m tests/she
    check 'bash: a file' test "$(cat "$out")" = tests/shell.sh
    offers help tok
    check 'bash: a command behind help' test "$(cat "$out")" = tokenize
    offers generate --seed ''
    check 'bash: nothing for a number' test -z "$(cat "$out")"
    check 'bash: no complaints' is_empty "$err"
fi
if command -v zsh >/dev/null; then
    check 'zsh: it parses' zsh -n "$folder/_vinci"
else
    skip 'no zsh'
fi
if command -v fish >/dev/null; then
    check 'fish: it parses' fish --no-execute "$folder/vinci.fish"
    fish --no-config -c "source '$folder/vinci.fish'; complete -C 'vinci logits --activations '" >"$out" 2>&1
    says 'fish: a word' int8 "$out"
else
    skip 'no fish'
fi
if command -v man >/dev/null && man --help 2>&1 | grep -q -- --warnings; then
    LC_ALL=C MANWIDTH=80 man --warnings -l -Tascii "$folder/vinci.1" >"$folder/page" 2>"$err"
    check 'man has no warnings' is_empty "$err"
    sed "s/.$(printf '\b')//g" "$folder/page" >"$out" # bold and underlined are overstrikes
    says 'man shows the commands' 'vinci generate' "$out"
    says 'man shows the exit codes' 'EXIT STATUS' "$out"
    says 'man shows the environment' MODELSCOPE_CACHE "$out"
else
    skip 'no man'
fi
finish
