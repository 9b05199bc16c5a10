# deps.sh - what vinci needs from the distribution. Sourced by tools/test and tools/demo, which call
# `need build` or `need build test`, then `want`; installs nothing when everything is there.
#
# shellcheck shell=sh

# kind, how to see that it is there, its packages on Debian and Ubuntu, and on openEuler, CentOS and
# Fedora. cc: a compiler that links a program; pc:NAME: pkg-config knows it; js:NAME: a library of the
# web page (tools/web-to-c); else a program's name.
dependencies()
{
    cat <<'END'
build cc              gcc,libc6-dev   gcc,glibc-devel
build make            make            make
build pkg-config      pkg-config      pkgconfig
build pc:libpcre2-8   libpcre2-dev    pcre2-devel
build pc:jansson      libjansson-dev  jansson-devel
build pc:yajl         libyajl-dev     yajl-devel
build pc:hwloc        libhwloc-dev    hwloc-devel
build pc:libcurl      libcurl4-openssl-dev libcurl-devel
build pc:libcrypto    libssl-dev      openssl-devel
build pc:libedit      libedit-dev     libedit-devel
build pc:libmicrohttpd libmicrohttpd-dev libmicrohttpd-devel
extra pc:md4c         libmd4c-dev     md4c-devel
extra pc:librsvg-2.0  librsvg2-dev    librsvg2-devel
extra js:marked       libjs-marked    -
extra js:highlight    libjs-highlight.js -
extra js:katex        libjs-katex,fonts-katex -
test  pc:cmocka       libcmocka-dev   libcmocka-devel
test  xgettext        gettext         gettext
END
}

say()
{
    echo "vinci: $*" >&2
}

is_there()
{
    case $1 in
    cc) echo 'int main(void) { return 0; }' | ${CC:-cc} -x c -o /dev/null - 2>/dev/null ;;
    pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
    js:*) sh tools/web-to-c --has "${1#js:}" ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

package_manager()
{
    for manager in apt-get dnf yum; do
        command -v $manager && return
    done
}

# Packages of what is missing, for the kinds given.
missing_packages()
{
    dependencies | while read -r kind probe debian rpm; do
        case " $* " in *" $kind "*) ;; *) continue ;; esac
        is_there "$probe" && continue
        case $(package_manager) in
        */dnf | */yum) echo "$rpm" ;;
        *) echo "$debian" ;;
        esac
    done | grep -vx - | tr ',\n' '  '
}

# CentOS and its kin keep some development packages in a repository that is not enabled.
extra_repositories()
{
    manager=$(package_manager)
    case $manager in
    */dnf) all=--all ;;
    */yum) all=all ;;
    *) return ;;
    esac
    "$manager" -q repolist "$all" 2>/dev/null | awk '{ print $1 }' |
        grep -ixE 'crb|powertools|codeready-builder-.*-rpms' | sed 's/^/--enablerepo=/'
}

install_packages()
{
    manager=$(package_manager)
    case $manager in
    */apt-get)
        command="env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $*"
        ;;
    */dnf | */yum) command="${manager##*/} install -y $(extra_repositories | tr '\n' ' ')$*" ;;
    *)
        say "these are missing, and neither apt-get, dnf nor yum is here to install them: $*"
        return 1
        ;;
    esac
    root=
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            root=sudo
        else
            say "these packages are missing; installing them takes root. Ask for: $*"
            return 1
        fi
    fi
    say "installing: $*"
    if [ "${manager##*/}" = apt-get ]; then
        $root apt-get update -q >&2 || say "apt-get update failed; trying with the lists there are"
    fi
    # shellcheck disable=SC2086 # words on purpose
    $root $command >&2
}

need()
{
    packages=$(missing_packages "$@")
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086
    install_packages $packages || return 1
    packages=$(missing_packages "$@")
    [ -z "$packages" ] || {
        say "installed, but still not usable: $packages"
        return 1
    }
}

# What vinci can do without: not every distribution has it. Never fails.
want()
{
    packages=$(missing_packages extra)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086
    install_packages $packages || say "going on without: $packages"
}

# For make -j.
processors()
{
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}
