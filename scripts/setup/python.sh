# shellcheck shell=sh
# Chooses a generation of TFX and a Python for it. Sourced by setup_env.sh.
#
# `choose` sets generation ("1.21"), version ("3.13"), python (its path; empty if none is here) and
# why. It exits with status 2 where no choice can be made.

pythons_of() { # pythons_of GENERATION: the versions that its lock is for, best first
    case $1 in
        1.21) echo 3.13 3.12 3.11 ;;
        1.16) echo 3.10 ;;
    esac
}

glibc_of() { # glibc_of GENERATION: the oldest that its packages load with
    case $1 in
        1.21) echo 2.39 ;;
        1.16) echo 2.28 ;;
    esac
}

# "2.41"; nothing for another C library. musl's ldd prints its version to stderr.
glibc_version() {
    { getconf GNU_LIBC_VERSION || ldd --version; } 2>/dev/null |
        sed -n '1s/.*[^0-9.]\(2\.[0-9][0-9]*\)\(\.[0-9]*\)*$/\1/p'
}

runs_here() { # runs_here GENERATION
    oldest=$(glibc_of "$1")
    [ "${glibc#2.}" -ge "${oldest#2.}" ]
}

# Prints "3.13 /usr/bin/python3.13" if COMMAND runs and is a CPython with the modules that wheels
# need: a Python built without libffi or OpenSSL lacks some. The path is not a pyenv shim's, and
# outlives a venv that is deleted.
probe() { # probe COMMAND
    "$1" -c '
import bz2, ctypes, lzma, os, sqlite3, ssl, sys, sysconfig, zlib
if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("not CPython with its global lock, which the packages are built for")
if sys.maxsize < 2**32:
    sys.exit("a 32-bit Python")
version = "%d.%d" % sys.version_info[:2]
base = os.path.join(sys.base_prefix, "bin", "python" + version)
in_venv = sys.prefix != sys.base_prefix
print(version, base if in_venv and os.path.exists(base) else sys.executable)'
}

# Each candidate is run, because a pyenv shim exists for versions that are not active.
find_python() { # find_python VERSION: sets python
    for candidate in "python$1" python3 python \
        "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$1"*/bin/"python$1"; do
        command -v "$candidate" >/dev/null || continue
        found=$(probe "$candidate" 2>/dev/null) || continue
        if [ "${found%% *}" = "$1" ]; then
            python=${found#* }
            return
        fi
    done
    return 1
}

takes() { # takes VERSION: succeeds and sets generation if one of $generations has a lock for it
    for generation in $generations; do
        case " $(pythons_of "$generation") " in *" $1 "*) return ;; esac
    done
    return 1
}

# Keeps the Python of a finished .venv: another one found first is no reason to make it anew.
keep_python() {
    [ -n "$stamped_generation" ] || return 1
    found=$(probe .venv/bin/python 2>/dev/null) || return 1
    takes "${found%% *}" || return 1
    version=${found%% *}
    python=${found#* }
    why="as before"
}

reason() { # the line of a program's errors that says most: the last of a traceback, else the first
    sed -e '/^Traceback/,$!{q;}' -e '$!d'
}

given_python() { # PYTHON=... was given
    command -v "$PYTHON" >/dev/null || refuse "PYTHON=$PYTHON: there is no such program."
    found=$(probe "$PYTHON" 2>&1) ||
        refuse "PYTHON=$PYTHON cannot be used: $(printf '%s\n' "$found" | reason)"
    version=${found%% *}
    python=${found#* }
    why="PYTHON=$PYTHON"
    takes "$version" || refuse "PYTHON=$PYTHON is Python $version.
With ${GENERATION:+GENERATION=$GENERATION and }glibc $glibc it must be $(choices)."
}

choices() { # "3.13, 3.12 or 3.11 (TFX 1.21), or 3.10 (TFX 1.16)"
    separator=""
    for name in $generations; do
        printf '%s' "$separator"
        pythons_of "$name" | sed -e 's/ /, /g' -e "s/, \([^ ]*\)\$/ or \1/" -e "s/\$/ (TFX $name)/" |
            tr -d '\n'
        separator=", or "
    done
}

choose() {
    glibc=$(glibc_version)
    check_system
    generations=""
    for generation in 1.21 1.16; do
        case ${GENERATION:-$generation} in
            "$generation") ;;
            1.16 | 1.21) continue ;;
            *) refuse "GENERATION=$GENERATION: it must be 1.16 or 1.21." ;;
        esac
        ! runs_here "$generation" || generations="$generations $generation"
    done
    [ -n "$generations" ] || refuse "GENERATION=$GENERATION needs glibc $(glibc_of "$GENERATION") \
or newer; this system has $glibc. Without GENERATION, TFX 1.16 is taken."
    if [ -n "${PYTHON:-}" ]; then
        given_python
        return
    fi
    keep_python && return
    for generation in $generations; do
        for version in $(pythons_of "$generation"); do
            if find_python "$version"; then
                say_why
                return
            fi
        done
    done
    generation=${generations# }
    generation=${generation%% *}
    version=$(pythons_of "$generation")
    version=${version%% *}
    python=""
    say_why
}

say_why() {
    if [ -n "${GENERATION:-}" ]; then
        why="GENERATION=$GENERATION"
    elif [ "$generation" = 1.21 ]; then
        why="glibc $glibc"
    elif runs_here 1.21; then
        why="glibc $glibc, but no Python for TFX 1.21 here"
    else
        why="glibc $glibc; TFX 1.21 needs $(glibc_of 1.21)"
    fi
}

# Succeeds if extension modules in C++ can be built: a compiler that links, and Python's headers.
can_build() {
    compiler=${CXX:-$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("CXX") or "c++")')}
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    built=0
    # shellcheck disable=SC2086  # a command with options
    printf '%s\n' '#include <Python.h>' '#include <string>' 'std::string word = "linked";' |
        $compiler -x c++ -shared -fPIC -I"$headers" -o .venv.probe - >/dev/null 2>&1 || built=1
    rm -f .venv.probe
    return $built
}
