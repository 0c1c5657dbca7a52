# shellcheck shell=sh
# Finds uv, or gets the one that requirements/uv.txt names. Sourced by setup_env.sh.
#
# `get_uv` sets uv to a command that works. It takes the one of an earlier setup, then one on the
# PATH (which is run, because a pyenv shim may not work). Else it downloads the wheel, checked
# against its hash, into .tools/uv: by whatever Python has pip, or venv; else by itself.

get_uv() {
    pinned=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/uv.txt)
    uv=.tools/uv/bin/uv
    is_pinned "$uv" && return
    new=.tools/uv.new
    rm -rf "$new"
    mkdir -p .tools
    if is_pinned .venv/bin/uv; then
        mkdir -p "$new/bin"
        cp .venv/bin/uv "$new/bin/uv"
    elif uv --version >/dev/null 2>&1; then
        uv=uv
        return
    else
        uv_by_pip || uv_by_download || return 1
    fi
    rm -rf .tools/uv
    mv "$new" .tools/uv
}

is_pinned() { # is_pinned COMMAND
    case "$("$1" --version 2>/dev/null) " in "uv $pinned "*) return ;; esac
    return 1
}

uv_by_pip() {
    for candidate in "$python" python3 python python3.14 python3.13 python3.12 python3.11 \
        python3.10; do
        command -v "$candidate" >/dev/null || continue # an empty one is none
        if "$candidate" -m pip --version >/dev/null 2>&1; then
            pip_install "$candidate" --target "$new" && is_pinned "$new/bin/uv" && return
        elif "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            try "$candidate" -m venv "$new" && pip_install "$new/bin/python" &&
                is_pinned "$new/bin/uv" && return
        fi
        rm -rf "$new"
    done
    return 1
}

pip_install() { # pip_install PYTHON ARGUMENTS...
    command=$1
    shift
    try "$command" -m pip install --disable-pip-version-check --retries 1 --timeout 8 \
        --require-hashes --no-deps -r requirements/uv.txt "$@"
}

# Without pip: a page of the package index names the wheel's address.
uv_by_download() {
    index=$(package_index)
    index=${index%/}
    mkdir -p "$new/bin"
    page=$new/index.html
    wheel=$new/uv.whl
    echo "+ fetching uv $pinned from $index" | without_secrets >>"$log"
    noted download "$index/uv/" "$page" || return 1
    link=$(sed -e 's/<a/\n<a/g' "$page" | grep -F "uv-$pinned-py3-none-manylinux" |
        grep -F "x86_64.whl" | sed -n '1s/.*href="\([^"#]*\).*/\1/p')
    if [ -z "$link" ]; then
        echo "The index has no wheel of uv $pinned for x86_64." >>"$log"
        return 1
    fi
    noted download "$(absolute "$link" "$index/uv")" "$wheel" || return 1
    if ! grep -qF "sha256:$(sha256 <"$wheel")" requirements/uv.txt; then
        echo "The wheel of uv from the index has none of the hashes in requirements/uv.txt." >>"$log"
        return 1
    fi
    noted unpack "$wheel" "uv-$pinned.data/scripts/uv" "$new/bin/uv" || return 1
    chmod +x "$new/bin/uv"
    rm -f "$wheel" "$page"
    is_pinned "$new/bin/uv"
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

noted() { # noted COMMAND...: its output goes to the log, but no password in an address
    status=0
    "$@" >"$new/output" 2>&1 || status=$?
    without_secrets <"$new/output" >>"$log"
    rm -f "$new/output"
    return "$status"
}

without_secrets() {
    sed 's#//[^/@ ]*@#//***@#g'
}

absolute() { # absolute LINK BASE: LINK, which a page in the folder BASE has, as an address
    case $1 in
        *://*) echo "$1" ;;
        //*) echo "${2%%://*}:$1" ;;
        /*) echo "$2" | sed "s#\(://[^/]*\).*#\1$1#" ;;
        ../*) absolute "${1#../}" "${2%/*}" ;;
        *) echo "$2/$1" ;;
    esac
}

# The first tool that is here downloads. A name server that does not answer, and a host that does
# not, are given up in seconds.
download() { # download URL FILE
    if fetcher=$(python_with 'ssl, urllib.request'); then
        RES_OPTIONS="timeout:1 attempts:1" "$fetcher" -c '
import shutil, socket, sys, urllib.request
connect = socket.create_connection
def impatient(address, timeout, *rest):
    connected = connect(address, 3, *rest)
    connected.settimeout(60)
    return connected
socket.create_connection = impatient
with urllib.request.urlopen(sys.argv[1]) as page, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(page, file)' "$1" "$2"
    elif command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 3 -o "$2" "$1"
    elif command -v wget >/dev/null; then
        wget -q --tries=1 --connect-timeout=3 --dns-timeout=3 -O "$2" "$1"
    elif [ -x /usr/lib/apt/apt-helper ]; then
        RES_OPTIONS="timeout:1 attempts:1" /usr/lib/apt/apt-helper -qq -o Acquire::Retries=0 \
            -o Acquire::http::Timeout=2 -o Acquire::https::Timeout=2 download-file "$1" "$2"
    else
        echo "There is no Python with ssl, no curl, no wget and no apt here."
        return 1
    fi
}

unpack() { # unpack ZIP MEMBER FILE
    if reader=$(python_with 'zipfile, zlib'); then
        "$reader" -c 'import sys, zipfile
open(sys.argv[3], "wb").write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$1" "$2" "$3"
    elif command -v unzip >/dev/null; then
        unzip -p "$1" "$2" >"$3"
    elif command -v bsdtar >/dev/null; then
        bsdtar -xOf "$1" "$2" >"$3"
    elif perl -MIO::Uncompress::Unzip -e 1 2>/dev/null; then
        perl -MIO::Uncompress::Unzip=unzip -e 'unzip $ARGV[0] => $ARGV[2], Name => $ARGV[1] or die' \
            "$1" "$2" "$3"
    else
        echo "There is no Python, no unzip, no bsdtar and no perl here."
        return 1
    fi
}

python_with() { # python_with MODULES: prints a Python that has them
    for candidate in python3 python; do
        if "$candidate" -c "import $1" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# What pip is configured with holds for uv, too, unless uv has its own.
package_index() {
    found=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$(pip_setting index-url)}}}
    echo "${found:-https://pypi.org/simple}"
}

pip_setting() { # pip_setting NAME: from the first of pip's configuration files that has it
    for file in "${PIP_CONFIG_FILE:-}" "${XDG_CONFIG_HOME:-${HOME:-}/.config}/pip/pip.conf" \
        "${HOME:-}/.pip/pip.conf" /etc/pip.conf; do
        [ -r "$file" ] || continue
        found=$(sed -n "s/^ *$1 *[=:] *//p" "$file" | head -n 1)
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
    done
}

use_pip_settings() {
    if [ -z "${UV_CONFIG_FILE:-}" ] && [ ! -e "${XDG_CONFIG_HOME:-${HOME:-}/.config}/uv/uv.toml" ] &&
        [ ! -e /etc/uv/uv.toml ]; then
        UV_DEFAULT_INDEX=$(package_index)
        export UV_DEFAULT_INDEX
    fi
    certificates=${SSL_CERT_FILE:-${PIP_CERT:-$(pip_setting cert)}}
    if [ -n "$certificates" ]; then
        export SSL_CERT_FILE="$certificates"
    fi
}
