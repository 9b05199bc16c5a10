# The page of `vinci serve`: its files, their headers, what they may not contain, and a build without
# the libraries. sh tools/test-web tries the page in a browser.
. tests/shell.sh
page=src/serve/web
web=$folder/web
mkdir "$web"

# ---- the files ----

check 'no address elsewhere' sh -c "! grep -rnE '(https?:)?//[a-z0-9-]+\.' $page | grep -vE '//www\.w3\.org/'"
check 'no script or style within the page' sh -c "! grep -nE '<script[^>]*>[^<]|<style| style=| on[a-z]+=' $page/index.html"
check 'no way from text to HTML or code' \
    sh -c "! grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|createContextualFragment' $page/*.js"
texts()
{
    sed -n "/^const $1 = {/,/^};/s/^    \([a-zA-Z_]*\):.*/\1/p" $page/text.js
}
texts en >"$folder/en"
texts zh >"$folder/zh"
check 'English and Chinese have the same texts' cmp "$folder/en" "$folder/zh"
check 'and these are many' test "$(wc -l <"$folder/en")" -gt 80
for name in $(grep -ohE "\bt\('[a-zA-Z_]+'" $page/*.js | sed "s/.*'\(.*\)'/\1/") \
    $(grep -ohE 'data-(text|label|placeholder)="[a-zA-Z]+"' $page/index.html | sed 's/.*"\(.*\)"/\1/'); do
    grep -qx "$name" "$folder/en" || not_ok "text.js lacks $name"
done
if command -v node >/dev/null; then
    for file in "$page"/*.js; do
        cp "$file" "$folder/module.mjs"
        check "${file##*/} parses" node --check "$folder/module.mjs"
    done
else
    skip 'no node to parse the scripts with'
fi

# ---- the build ----

WEB_LIBRARIES='' sh tools/web-to-c "$web" >"$folder/web.c" 2>"$err"
says 'a build without the libraries says so' 'without marked' "$err"
says 'and has the page' '{"/web/app.js", "text/javascript; charset=utf-8"' "$folder/web.c"
check 'and none of them' sh -c "! grep -q 'web/lib/' '$folder/web.c'"
# shellcheck disable=SC2086 # "ccache gcc"
check 'and is C' $CC -std=c11 -Isrc -c -o "$folder/web.o" "$folder/web.c"

# ---- the server ----

command -v curl >/dev/null || {
    skip 'curl is not here'
    finish
    exit
}
. tests/server.sh

start --quiet
curl -s -D "$out" -o "$folder/page" "$base/"
check 'the page' cmp "$folder/page" $page/index.html
says 'its type' 'Content-Type: text/html; charset=utf-8' "$out"
says 'its policy' "default-src 'none'; script-src 'self'" "$out"
says 'and that no text becomes HTML' "require-trusted-types-for 'script'" "$out"
says 'no guessing' 'X-Content-Type-Options: nosniff' "$out"
says 'no referrer' 'Referrer-Policy: no-referrer' "$out"
check 'no unsafe policy' sh -c "! grep -q unsafe '$out'"
tag=$(tr -d '\r' <"$out" | sed -n 's/^[Ee][Tt]ag: //p')
curl -s -D "$out" -o "$folder/empty" -H "If-None-Match: $tag" "$base/"
says 'what the browser has' ' 304 ' "$out"
check 'is not sent again' test ! -s "$folder/empty"
curl -s -D "$out" -o "$folder/packed" -H 'Accept-Encoding: gzip, br' "$base/"
says 'packed' 'Content-Encoding: gzip' "$out"
check 'and the same' sh -c "gzip -dc '$folder/packed' | cmp - $page/index.html"
curl -s -D "$out" -o "$folder/page" -H 'Accept-Encoding: br, gzip;q=0' "$base/"
check 'not packed for who cannot unpack' cmp "$folder/page" $page/index.html
curl -s -I -o "$out" "$base/web/app.js"
says 'HEAD' '200 OK' "$out"

# What the page, its scripts and its styles name is there. katex.css also names older forms of fonts.
n=0
for path in $({
    sed -n 's/.* \(src\|href\)="\([^"#]*\)".*/\2/p' $page/index.html
    sed -n "s/.*from '\.\/\(.*\)';/web\/\1/p" $page/*.js
    sed -n 's/^    {"\/\([^"]*\)".*/\1/p' "$BUILD/src/serve/web.c"
    curl -s "$base/web/lib/katex.css" | grep -oE 'fonts/[A-Za-z0-9_-]*\.woff2' | sed 's/^/web\/lib\//'
} | sort -u); do
    status=$(curl -s -o "$folder/file" -w '%{http_code}' "$base/$path")
    [ "$status" = 200 ] && [ -s "$folder/file" ] || not_ok "/$path: status $status"
    n=$((n + 1))
done
check 'every file that is named' test $n -gt 15
status=$(curl -s -o "$out" -w '%{http_code}' "$base/web/none.js")
check 'no other' test "$status" = 404
status=$(curl -s -o "$out" -w '%{http_code}' --path-as-is "$base/web/../web.c")
check 'no way out of the folder' test "$status" = 404
stop

start --quiet --no-webui
status=$(curl -s -o "$out" -w '%{http_code}' "$base/")
check '--no-webui: nothing at /' test "$status" = 404
status=$(curl -s -o "$out" -w '%{http_code}' "$base/web/app.js")
check 'nor below' test "$status" = 404
check 'the API answers' curl -sf "$base/v1/models" -o "$out"
stop
finish
