# Every C file is as clang-format makes it. Versions differ in details; 14 is the one that counts.
. tests/shell.sh

formatted()
{
    clang-format --dry-run -Werror --style=file:.clang-format "$@"
}

if ! command -v clang-format >/dev/null; then
    skip 'no clang-format'
elif ! clang-format --version | grep -q 'version 14\.'; then
    skip "clang-format 14 counts, not: $(clang-format --version)"
else
    # shellcheck disable=SC2046 # names without spaces
    check 'all C files are formatted' formatted $(find include src tests examples -name '*.[ch]')
    printf 'int  x;\n' >"$folder/wrong.c"
    if formatted "$folder/wrong.c" 2>/dev/null; then
        not_ok 'a badly formatted file is not noticed'
    else
        ok 'a badly formatted file is noticed'
    fi
fi
finish
