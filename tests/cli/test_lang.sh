# Messages in English and Chinese: po/zh_CN.po has every text of the source, and the program speaks the
# language of the locale or of --lang, on machines without that locale too. What programs read is the
# same in every language.
. tests/shell.sh
model=tests/vectors/golden/text
unset LC_ALL LC_MESSAGES LANG LANGUAGE

# ---- po/zh_CN.po ----

# is_complete FILE: what the source says that the file has no translation for.
is_complete()
{
    $MAKE -s pot BUILD="$folder/build" >"$folder/pot" 2>&1 || return 1
    cp "$1" "$folder/merged.po"
    msgmerge --quiet --update --backup=none --no-fuzzy-matching "$folder/merged.po" \
        "$folder/build/po/vinci.pot" || return 1
    msgattrib --no-obsolete --untranslated "$folder/merged.po" >"$folder/missing"
    msgattrib --no-obsolete --only-fuzzy "$folder/merged.po" >>"$folder/missing"
    grep '^msgid' "$folder/missing"
    [ ! -s "$folder/missing" ]
}

if command -v xgettext >/dev/null && command -v msgmerge >/dev/null; then
    check 'zh_CN.po has every text of the source (make po brings in new ones)' is_complete po/zh_CN.po
    check 'zh_CN.po is sound, and its formats take the same arguments' \
        msgfmt --check --output-file=/dev/null po/zh_CN.po
    sed 's/^msgstr "成功"/msgstr ""/' po/zh_CN.po >"$folder/wrong.po"
    if is_complete "$folder/wrong.po" >/dev/null; then not_ok 'a gap is not noticed'; else ok 'a gap is noticed'; fi
    sed '/^msgstr "已保存到/s/%s/%d/' po/zh_CN.po >"$folder/wrong.po"
    if msgfmt --check --output-file=/dev/null "$folder/wrong.po" 2>"$err"; then
        not_ok 'a wrong format is not noticed'
    else
        ok 'a wrong format is noticed'
    fi
else
    skip 'no xgettext: whether zh_CN.po is complete'
fi

# What is said without _() (-P: not behind it on the line).
unwrapped='(\bsay|chat_view_note|say_warning|say_error|progress_begin)\([^"_]*"[^"]*[a-z]{3}'
grep -nE "$unwrapped" src/cli/*.c src/bench/*.c src/serve/*.c 2>/dev/null |
    grep -vE '"vinci: %s' >"$folder/unwrapped"
check 'what is said goes through _()' is_empty "$folder/unwrapped"
cat "$folder/unwrapped"
echo '    say("this would be English")' >"$folder/x.c"
check 'a text without _() is noticed' grep -qE "$unwrapped" "$folder/x.c"

# The table in the program: sorted, or what is searched for would not be found.
sh tools/po-to-c zh_CN po/zh_CN.po >"$folder/table"
check 'the table has every entry' test \
    "$(grep -c '^    {"' "$folder/table")" -eq "$(($(grep -c '^msgid' po/zh_CN.po) - 1))"

# ---- which language ----

# speaks NAME LANGUAGE VARIABLE=VALUE... ARGUMENT...: the greeting line of `vinci help`.
speaks()
{
    name=$1 wanted=$2
    shift 2
    # shellcheck disable=SC2086
    env "$@" >"$out" 2>"$err" </dev/null
    case $wanted in
    zh) says "$name" '用法：vinci' "$out" ;;
    en) says "$name" 'usage: vinci' "$out" ;;
    esac
}
program=$BUILD/vinci
if [ -z "$RUN" ]; then
    speaks 'nothing set: English' en "$program" help
    speaks 'LANG=zh_CN.UTF-8' zh LANG=zh_CN.UTF-8 "$program" help
    speaks 'LANG=zh_CN' zh LANG=zh_CN "$program" help
    speaks 'LC_MESSAGES is above LANG' zh LANG=de_DE.UTF-8 LC_MESSAGES=zh_CN.UTF-8 "$program" help
    speaks 'LC_ALL is above LC_MESSAGES' en LC_ALL=C LC_MESSAGES=zh_CN.UTF-8 "$program" help
    speaks 'another codeset than UTF-8' en LANG=zh_CN.GB18030 "$program" help
    speaks 'LANGUAGE' zh LANG=en_US.UTF-8 LANGUAGE=de:zh_CN:en "$program" help
    speaks 'LANGUAGE: the first that there is' en LANG=zh_CN.UTF-8 LANGUAGE=en_GB:zh_CN "$program" help
    speaks 'LANGUAGE does not count in the C locale' en LC_ALL=C LANGUAGE=zh_CN "$program" help
    speaks 'a language that there is not' en LANG=de_DE.UTF-8 "$program" help
    speaks '--lang is above all' en LC_ALL=zh_CN.UTF-8 "$program" help --lang en
    # A program alone in another folder, without the C library's locales.
    cp "$program" "$folder/alone"
    speaks 'a copy of the program alone' zh LOCPATH="$folder" LC_ALL=POSIX "$folder/alone" --lang zh_CN
fi
expect '--lang in front' 0 --lang zh_CN help
says '--lang in front: Chinese' '介绍命令及其选项' "$out"
expect '--lang=NAME in front' 0 --lang=zh_CN
expect '--lang behind' 0 chat --help --lang zh_CN
says '--lang behind: Chinese' '给模型的指令' "$out"
expect '--lang of another language' 2 help --lang de
says '--lang of another language: which there are' 'expected one of en, zh_CN' "$err"
expect '--lang of another language, in front' 2 --lang de help
says 'the same in front' "--lang: expected one of en, zh_CN, got 'de'" "$err"
expect '--lang alone' 2 --lang
expect '--lang alone, behind' 2 help --lang

expect 'an error in Chinese' 2 chat --modle x --lang zh_CN
says 'an option that is near' '未知选项“--modle”；是否想用“--model”？' "$err"
expect 'an error of the library in Chinese' 3 info -m "$folder/none" --lang zh_CN
says 'which' '没有这个文件或文件夹' "$err"
expect 'an error of the system in Chinese' 3 generate --prompt-file "$folder/none" -m $model --lang zh_CN
says 'what the system said' "$folder/none：无法打开：没有那个文件或目录" "$err"
printf '/help\n/xyzzyxyzzy\n' | vinci chat --lang zh_CN --tokenizer $model/tokenizer.json --replay /dev/null \
    >"$out" 2>"$err"
says '/help in Chinese' '撤回上一条消息及其回答' "$err"
says 'an unknown command in Chinese' '没有命令“/xyzzyxyzzy”' "$err"

# Every command and option is described in Chinese, so no text of a table lacks its N_().
all=$(vinci --help | awk '/^  [a-z]/ { print $1 }')
for command in '' $all; do
    # shellcheck disable=SC2086
    vinci --lang zh_CN help $command | LC_ALL=C awk -v command="$command" '
        function check() { if (text != "" && text !~ /[\343-\357]/) print command ": " text }
        /^  +-/ || (command == "" && /^  [a-z]/) { check(); text = $0; next }
        /^   / { text = text $0; next }
        { check(); text = "" }
        /^.*:$/ { print command ": " $0 }' >>"$folder/english"
done
check 'every option is described in Chinese' is_empty "$folder/english"
cat "$folder/english"

# ---- columns ----

# In 80 columns, a Chinese character counting as two: of UTF-8, the lead bytes from e3 on.
for command in '' $all; do
    # shellcheck disable=SC2086
    vinci --lang zh_CN help $command | LC_ALL=C awk '
        { line = $0; gsub(/\342[\200-\277][\200-\277]/, "-", line) } # quotes: one column
        { wide = gsub(/[\343-\357][\200-\277][\200-\277]/, "", line) }
        length(line) + 2 * wide > 80' >>"$folder/long"
done
check 'the Chinese help fits 80 columns' is_empty "$folder/long"
cat "$folder/long"
vinci --lang zh_CN info -m $model >"$out" 2>&1
# The values of all lines begin in one column.
LC_ALL=C awk '
    {
        label = $0
        if (!match(label, /  +/)) next
        label = substr(label, 1, RSTART + RLENGTH - 1)
        wide = gsub(/[\343-\357][\200-\277][\200-\277]/, "", label)
        print length(label) + 2 * wide
    }' "$out" | sort -u >"$folder/columns"
check 'the labels of info take the same columns' test "$(cat "$folder/columns")" = 12

# ---- what programs read ----

# same NAME ARGUMENT...: standard output does not depend on the language.
same()
{
    name=$1
    shift
    vinci "$@" --lang en >"$folder/en" 2>"$err" <"$folder/input"
    check "$name: there is output" test -s "$folder/en"
    vinci "$@" --lang zh_CN >"$folder/zh" 2>"$err" <"$folder/input"
    check "$name: the same in both languages" cmp "$folder/en" "$folder/zh"
}
echo '{"name": "x", "ids": [200005, 1], "strict": true}' >"$folder/input"
same 'harmony parse, with an error' harmony parse --jsonl -m $model
: >"$folder/input"
same 'info --json' info --json -m $model
same 'the text of generate' generate -m $model -p Hello -n 4
same 'generate --logprobs' generate -m $model -p Hello -n 2 --logprobs 2
same 'the manual' help --man
same 'completions' help --completions fish
echo '{"text": "x"}' >"$folder/input"
same 'tokenize --jsonl' tokenize --jsonl -m $model

# A locale with commas in its numbers, where there is one or where one can be made.
locale=$(locale -a 2>/dev/null | grep -iE '^(de_DE|fr_FR|es_ES|ru_RU|pt_BR)\.utf-?8$' | head -n 1)
if [ -z "$locale" ] && localedef -i de_DE -f UTF-8 "$folder/de_DE.UTF-8" >/dev/null 2>&1; then
    locale=de_DE.UTF-8
    export LOCPATH="$folder"
fi
if [ -n "$locale" ] && [ "$(LC_ALL=$locale env printf '%.1f' 1 2>/dev/null)" = 1,0 ]; then
    : >"$folder/input"
    vinci generate -m $model -p Hello -n 2 --logprobs 2 --temperature 0.5 >"$folder/en" 2>"$err" </dev/null
    LC_ALL=$locale vinci generate -m $model -p Hello -n 2 --logprobs 2 --temperature 0.5 \
        >"$folder/de" 2>"$err" </dev/null
    check "numbers are the same in $locale" cmp "$folder/en" "$folder/de"
    LC_ALL=$locale vinci info -m $model >"$out" 2>"$err"
    if grep -qE '[0-9],[0-9]' "$out"; then not_ok 'commas in numbers'; else ok 'no commas in numbers'; fi
else
    skip 'no locale with commas in its numbers'
fi
finish
