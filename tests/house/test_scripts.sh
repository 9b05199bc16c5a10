# The repository's scripts: valid POSIX shell, and tools/deps.sh asks for the right packages. The
# package managers here are stand-ins that only write down what they are told.
. tests/shell.sh

scripts=$(grep -rlE '^(#!/bin/sh|# shellcheck shell=sh|\. tests/shell\.sh)' tools tests .ci | sort)
# shellcheck disable=SC2086
for script in $scripts; do
    check "$script parses" sh -n "$script"
done
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    check 'shellcheck' shellcheck -x -s sh --severity=warning $scripts
else
    skip 'no shellcheck'
fi

for module in $(sed -n 's/^PACKAGES := //p' Makefile) libedit md4c; do
    check "tools/deps.sh has $module" grep -q "pc:$module " tools/deps.sh
done

# world NAME...: a folder with only the tools that a bare system has, and stand-ins of these names.
world()
{
    rm -rf "${folder:?}/bin" "$folder/asked"
    mkdir "$folder/bin"
    for tool in sh env tr awk sed grep dirname cat mkdir rm; do
        ln -s "$(command -v $tool)" "$folder/bin/$tool"
    done
    for name; do
        printf '#!/bin/sh\necho "%s $*" >>"%s"\n%s\n' "$name" "$folder/asked" \
            "[ \"\$2\" != repolist ] || echo 'crb CentOS Stream 9 - CRB'" >"$folder/bin/$name"
        chmod +x "$folder/bin/$name"
    done
}

# user N: who runs the script.
user()
{
    printf '#!/bin/sh\necho %s\n' "$1" >"$folder/bin/id"
    chmod +x "$folder/bin/id"
}

# needs KIND...: asks for the kinds in that world; standard error goes to $err.
needs()
{
    env -i PATH="$folder/bin" sh -c '. tools/deps.sh; need "$@"' sh "$@" 2>"$err" </dev/null
    set -- $?
    touch "$folder/asked"
    return "$1"
}

world apt-get
user 0
needs build
says 'Debian: the lists are fetched first' 'apt-get update' "$folder/asked"
says 'Debian: packages' 'install -y --no-install-recommends gcc libc6-dev make pkg-config' "$folder/asked"
says 'Debian: libraries' 'libpcre2-dev libjansson-dev libyajl-dev' "$folder/asked"
says 'what is still missing is said' 'installed, but still not usable: gcc' "$err"
if grep -q cmocka "$folder/asked"; then
    not_ok 'the build asks for packages of the tests'
else
    ok 'the build asks for nothing that only the tests need'
fi
needs build test
says 'the tests ask for cmocka' libcmocka-dev "$folder/asked"

world dnf
user 0
needs build test
says 'dnf: packages' 'gcc glibc-devel make pkgconfig pcre2-devel jansson-devel yajl-devel' \
    "$folder/asked"
says 'dnf: packages of the tests' ' libcmocka-devel' "$folder/asked"
says 'dnf: the repository that is not enabled' 'install -y --enablerepo=crb gcc' "$folder/asked"

world yum
user 0
needs build
says 'yum' 'yum install -y --enablerepo=crb gcc glibc-devel make' "$folder/asked"

world apt-get
user 1000
if needs build; then not_ok 'without root it must fail'; else ok 'without root it fails'; fi
says 'without root it says what to ask for' 'Ask for: gcc libc6-dev make' "$err"
check 'and installs nothing' is_empty "$folder/asked"

world apt-get sudo
user 1000
needs build
says 'with sudo' 'sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y' "$folder/asked"

world
user 0
if needs build; then not_ok 'no package manager: must fail'; else ok 'no package manager: fails'; fi
says 'no package manager: says what is missing' 'these are missing' "$err"

if command -v pkg-config >/dev/null && pkg-config --exists cmocka; then
    check 'nothing to do where all is there' env "PATH=$PATH" sh -c '. tools/deps.sh
        install_packages() { echo "asked for $*"; return 1; }; need build test'
fi
finish
