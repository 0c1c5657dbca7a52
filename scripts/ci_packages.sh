#!/bin/sh
# Installs missing programs that builds and tests need beside .venv.
#
# - Debian packages, listed below as PROGRAM:PACKAGE.
# - Programs that Go builds (some minutes): grpcurl, an independent client for the conformance
#   tests; kustomize, which builds the manifests (Debian's kubectl is too old); and Prism, Beam's
#   portable runner. Prism needs Go 1.26, which Go 1.21 and newer download; Debian 12 has Go 1.19.
# - The npm packages of tests/conformance/node, for an independent client in JavaScript, and
#   axe-core, which looks for what people cannot use in the web pages.
# - The Go modules of tests/conformance/go, compiled once (half a minute, 200 MB), for the client in
#   Go of the documentation.
#
# The last three go into .tools, which git ignores and `make clean` deletes. If one of them cannot
# be downloaded, the script prints a warning and continues; with CI=true the tests that need it
# then fail and name this script.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin # where Debian has mariadbd
needed="make:make git:git flock:util-linux chromium:chromium curl:curl go:golang-go
    node:nodejs npm:npm docker-compose:docker-compose g++:g++
    mariadbd:mariadb-server-core my_print_defaults:mariadb-client-core
    mmdebstrap:mmdebstrap shellcheck:shellcheck wget:wget unzip:unzip zsh:zsh fish:fish"
# Built by Debian 12's Go 1.19 too.
grpcurl=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9
kustomize=sigs.k8s.io/kustomize/kustomize/v4@v4.5.7
# Its version need not be that of the Python SDK: Beam 2.65's workers run on it, too.
prism=github.com/apache/beam/sdks/v2/go/cmd/prism@v2.73.0

missing=""
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing="$missing ${entry#*:}"
done
if [ -n "$missing" ]; then
    echo "Installing$missing ..."
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends \
        $missing
fi

warn() { # warn WHAT: prints a warning and the end of the log
    echo "$1 could not be installed; the tests that need it will fail. The end of the log:" >&2
    tail -n 10 "$log" | sed 's/^/  /' >&2
}

# .tools/NAME, .tools/node/package-lock.json and .tools/go/go.sum are written last and tell what is
# installed.
is_installed() { # is_installed NAME MODULE
    [ "$(cat ".tools/$1" 2>/dev/null)" = "$2" ] && [ -x ".tools/bin/$1" ]
}

install_by_go() { # install_by_go NAME MODULE
    is_installed "$1" "$2" && return
    echo "Building $1 ..."
    # Without cgo no C compiler is needed.
    CGO_ENABLED=0 GOBIN="$(pwd)/.tools/bin" go install -trimpath "$2" >"$log" 2>&1 &&
        echo "$2" >".tools/$1" || warn "$1"
}

# Go before 1.21 downloads no newer Go; it stops at a go.mod that asks for one, with obscure words.
go_can_download_go() {
    version=$(go env GOVERSION 2>/dev/null)
    printf '%s\n' go1.21 "$version" | sort -V -C && return
    echo "Prism needs Go 1.26, or Go 1.21 and newer, which download it; $(command -v go) is" \
        "${version:-older}. Install it from https://go.dev/dl (or Debian's backports) and put it" \
        "first on the PATH" >"$log"
    return 1
}

install_node_packages() {
    from=tests/conformance/node
    to=.tools/node
    cmp -s $from/package-lock.json $to/package-lock.json && [ -d $to/node_modules ] && return
    echo "Installing the npm packages of $from ..."
    rm -rf $to $to.new
    mkdir -p $to.new
    cp $from/package.json $from/package-lock.json $to.new/
    # Packages' scripts are not run; none is needed.
    (cd $to.new && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 &&
        mv $to.new $to || warn "The npm packages of $from"
}

install_go_modules() {
    from=tests/conformance/go
    to=$(pwd)/.tools/go
    cmp -s $from/go.sum "$to/go.sum" && return
    echo "Building the Go modules of $from ..."
    rm -rf "$to"
    # The standard library too, which the other program in Go needs. -modcacherw: rm deletes it.
    (cd $from && export CGO_ENABLED=0 GOCACHE="$to/cache" GOMODCACHE="$to/modules" &&
        go build -modcacherw net/http google.golang.org/grpc \
            google.golang.org/protobuf/types/descriptorpb \
            google.golang.org/protobuf/encoding/protojson \
            google.golang.org/protobuf/types/dynamicpb) >"$log" 2>&1 &&
        cp $from/go.mod $from/go.sum "$to/" || warn "The Go modules of $from"
}

mkdir -p .tools
log=.tools/install.log
install_by_go grpcurl "$grpcurl"
install_by_go kustomize "$kustomize"
if is_installed prism "$prism" || go_can_download_go; then
    install_by_go prism "$prism"
else
    warn Prism
fi
install_node_packages
install_go_modules
