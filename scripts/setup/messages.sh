# shellcheck shell=sh
# What setup_env.sh prints where it cannot work, with the ways out for this very system. Each
# function exits with status 2.

system_says() { # system_says NAME: a field of os-release, such as ID
    for file in ${OS_RELEASE:-/etc/os-release /usr/lib/os-release}; do
        if [ -r "$file" ]; then
            sed -n "s/^$1=//p" "$file" | tr -d "\"'"
            return
        fi
    done
}

system_name() {
    name=$(system_says PRETTY_NAME)
    echo "${name:-$(uname -s)}"
}

refuse() { # refuse WHY
    echo "$1" >&2
    exit 2
}

# Says at once that TensorFlow and TFX are not published for this system.
check_system() {
    system="$(uname -s) $(uname -m)"
    if [ "$system" != "Linux x86_64" ]; then
        lacks="$system"
    elif [ -z "$glibc" ]; then
        lacks="$(system_name), whose C library is not glibc"
    elif ! runs_here 1.16; then
        lacks="glibc $glibc"
    else
        return 0
    fi
    cat >&2 <<MESSAGE
Genreflow cannot be installed here: TFX has no packages for $lacks.
They are built for Linux on x86_64 with glibc $(glibc_of 1.16) or newer. A container or a virtual
machine of that kind helps, such as:
  docker run --platform linux/amd64 -it -v "\$PWD:/genreflow" -w /genreflow debian:13 \\
      sh -c 'apt-get update && apt-get install -y git make python3 && make demo'
MESSAGE
    exit 2
}

# The system's own packages that bring a Python which fits.
own_packages() {
    case "$(system_says ID) $(system_says VERSION_ID)" in
        "debian 13"*) echo "sudo apt install python3" ;;
        "ubuntu 22.04" | "ubuntu 24.04" | "ubuntu 25"*) echo "sudo apt install python3" ;;
        "ubuntu "*)
            echo "sudo add-apt-repository ppa:deadsnakes/ppa && sudo apt install python$version"
            ;;
        "fedora "*) echo "sudo dnf install python$version" ;;
        "opensuse"*) echo "sudo zypper install python$(echo "$version" | tr -d .)" ;;
        "arch "*) echo "sudo pacman -S uv" ;;
    esac
}

no_python() { # no_python WHY
    here=$(python3 --version 2>/dev/null) || here="no python3"
    own=$(own_packages)
    cat >&2 <<MESSAGE
No Python that Genreflow can use is on this system ($(system_name): $here, glibc $glibc).
It needs Python $(choices).
$1
Any one of these helps; then run make again:
${own:+  this system:         $own
}  uv (brings its own): curl -LsSf https://astral.sh/uv/install.sh | sh
  a mirror for uv:     make UV_PYTHON_INSTALL_MIRROR=https://mirror.example.org/... ...
  pyenv:               pyenv install $version
  already somewhere:   make PYTHON=/path/to/python$version ...
MESSAGE
    exit 2
}
