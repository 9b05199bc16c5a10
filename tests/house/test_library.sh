# What is installed: exported names, pkg-config, manual, completions; the example built against the
# installed library, shared and static, gives the same text as the program.
. tests/shell.sh
model=tests/vectors/golden/text

# Functions marked VINCI_API, one a line.
tr '\n' ' ' <include/vinci.h | grep -o 'VINCI_API [a-z][^;()]*(' |
    sed 's/ *($//; s/.*[ *]//' | sort >"$folder/declared"
check 'vinci.h declares functions' grep -q '^vinci_engine_open$' "$folder/declared"

# names FILE NM-OPTION...: what an object defines for others.
names()
{
    file=$1
    shift
    nm -g --defined-only "$@" "$file" | awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}

# writable FILE: objects that lie where they could be written.
writable()
{
    objdump -t "$1" | awk -F '\t' 'NF == 2 {
        n = split($1, head, " ")
        section = head[n]
        sub(/^[0-9a-f]* *(\.hidden )?/, "", $2)
        if (section ~ /^(\*COM\*|\.t?(data|bss)(\..*)?)$/ && section !~ /^\.data\.rel\.ro/ &&
            $2 != section && $2 !~ /^\$/)
            print section, $2
    }'
}

if [ -z "$SAN" ]; then
    writable "$BUILD/src/cli/program.o" >"$folder/program"
    names "$BUILD/libvinci.so.0" -D >"$folder/shared"
    names "$BUILD/libvinci.a" >"$folder/static"
    check 'libvinci.so exports what vinci.h declares' diff "$folder/declared" "$folder/shared"
    check 'libvinci.a exports what vinci.h declares' diff "$folder/declared" "$folder/static"
    nm -D --defined-only "$BUILD/libvinci.so.0" >"$folder/versions"
    if grep ' T vinci_' "$folder/versions" | grep -qv '@@VINCI_0$'; then
        not_ok 'every symbol has a version'
    else
        says 'symbols have a version' 'vinci_engine_open@@VINCI_0' "$folder/versions"
    fi
    writable "$BUILD/internal.a" >"$folder/globals"
    check 'the library keeps no state of its own' test ! -s "$folder/globals"
    cat "$folder/globals"
    check 'that check sees the state of the program' grep -q stop_requested "$folder/program"
else
    skip 'exported names: not with sanitizers'
fi

check 'vinci.h is C11 without anything else' $CC -std=c11 -pedantic-errors -Wall -Wextra -Werror \
    -fsyntax-only -x c include/vinci.h
if command -v c++ >/dev/null; then
    check 'vinci.h is C++' c++ -Wall -Wextra -Werror -fsyntax-only -x c++ include/vinci.h
fi

root=$folder/root
check 'make install' $MAKE BUILD="$BUILD" CC="$CC" SAN="$SAN" RUN="$RUN" PREFIX=/usr DESTDIR="$root" install
for file in bin/vinci include/vinci.h lib/libvinci.a lib/libvinci.so lib/pkgconfig/vinci.pc \
    share/man/man1/vinci.1 share/bash-completion/completions/vinci share/doc/vinci/LICENSE; do
    check "installed: $file" test -s "$root/usr/$file"
done
for file in $(awk '/#include "/ { print $2 }' include/vinci.h); do
    not_ok "vinci.h includes $file, which is not installed"
done

check 'vinci.pc has the prefix' grep -q '^prefix=/usr$' "$root/usr/lib/pkgconfig/vinci.pc"
config()
{
    PKG_CONFIG_PATH=$root/usr/lib/pkgconfig pkg-config --define-variable=prefix="$root/usr" \
        --define-variable=libdir="$root/usr/lib" "$@"
}

example()
{
    # shellcheck disable=SC2086,SC2046
    $CC -std=c11 -Wall -Wextra ${SAN:+-fsanitize=$SAN} examples/generate.c -o "$folder/$1" \
        $(config --cflags vinci) $2
}

if [ -z "$RUN" ]; then
    check 'pkg-config knows the version' test "vinci $(config --modversion vinci)" = "$(vinci --version)"
    check 'the example builds with libvinci.so' example shared "$(config --libs vinci)"
    # libvinci.a alone, with the libraries below it shared: those need not be there as archives.
    # shellcheck disable=SC2046
    check 'the example builds with libvinci.a' example static \
        "-L$root/usr/lib -l:libvinci.a $(pkg-config --libs $(config --print-requires-private vinci)) -pthread -lm"
    vinci generate --model $model --prompt 'Hello' --max-new-tokens 16 >"$folder/wanted" 2>"$err"
    says 'the program generates a text' '' "$folder/wanted"
    for kind in shared static; do
        LD_LIBRARY_PATH=$root/usr/lib "$folder/$kind" $model 'Hello' 16 >"$folder/text" 2>"$err"
        check "the example ($kind) runs" test -s "$folder/text"
        check "the example ($kind) gives the program's text" cmp "$folder/wanted" "$folder/text"
    done
    LD_LIBRARY_PATH=$root/usr/lib "$folder/shared" "$folder/none" x 2>"$err"
    check 'the example says what is wrong' test $? -eq 3
else
    skip 'the example: not under an emulator'
fi

$MAKE PREFIX=/usr DESTDIR="$root" BUILD="$BUILD" uninstall >/dev/null 2>&1
find "$root" -type f -o -type l >"$folder/left"
check 'make uninstall leaves nothing' is_empty "$folder/left"
finish
