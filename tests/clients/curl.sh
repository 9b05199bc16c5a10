# curl as the README shows it, and a stream read line by line.
set -eu
answer=$(curl -sf "$BASE/v1/chat/completions" -H 'Content-Type: application/json' \
    -d '{"messages":[{"role":"user","content":"hi"}]}')
case $answer in
*'"content":"Hello, 世界!"'*) ;;
*)
    echo "not ok curl: $answer"
    exit 1
    ;;
esac
last=$(curl -sfN "$BASE/v1/chat/completions" -H 'Content-Type: application/json' \
    -d '{"messages":[{"role":"user","content":"hi"}],"stream":true}' | grep -v '^$' | tail -n 1)
[ "$last" = 'data: [DONE]' ] || {
    echo "not ok curl: a stream ends in $last"
    exit 1
}
echo 'ok curl'
