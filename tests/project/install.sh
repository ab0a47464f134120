#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh CMAKE GENERATOR CC [FLAG]... - an installed weir can be used by a program
#
# Goal: pkg-config and find_package() lead to the shared and the static library,
# also after the installed tree was moved.
# Method: installs into a temporary prefix, moves it, compiles a small program
# in all four ways and runs it. Flags are those that the library was built with.
set -eu
cmake=$1
generator=$2
cc=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
consumer=${WEIR_SOURCE:?}/tests/project/consumer

"$cmake" --install "${WEIR_BUILD:?}" --prefix "$folder/first" >"$folder/log" || {
    cat "$folder/log"
    exit 1
}
mv "$folder/first" "$folder/moved"

find "$folder/moved" -name 'libweir.so.0.1' | grep -q . || {
    echo "FAILED: no libweir.so.0.1: the SONAME's link is not installed"
    exit 1
}
library=$(dirname "$(find "$folder/moved" -name libweir.a)")
LD_LIBRARY_PATH=$library
export LD_LIBRARY_PATH

# The program runs, and is linked with the shared library exactly when it should be.
check() { # what, program, yes or no
    echo "$1: $("$2")"
    if readelf -d "$2" | grep -q 'NEEDED.*\[libweir\.so\.0\.1\]'; then
        linked=yes
    else
        linked=no
    fi
    [ "$linked" = "$3" ] || {
        echo "FAILED: $1: linked with libweir.so: $linked, expected: $3"
        exit 1
    }
}

if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH=$library/pkgconfig
    export PKG_CONFIG_PATH
    # shellcheck disable=SC2046 # several words are meant
    "$cc" "$@" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$folder/shared" \
        "$consumer/main.c" $(pkg-config --cflags --libs weir)
    check "pkg-config, shared" "$folder/shared" yes
    libraries=$(pkg-config --static --libs weir |
        sed 's/-lweir/-Wl,-Bstatic -lweir -Wl,-Bdynamic/')
    case " $libraries " in
    *' -pthread '*) ;; # a library of its own, with glibc before 2.34
    *)
        echo "FAILED: pkg-config --static names no -pthread: $libraries"
        exit 1
        ;;
    esac
    # shellcheck disable=SC2046,SC2086 # several words are meant
    "$cc" "$@" -std=c11 -D_GNU_SOURCE -o "$folder/static" \
        "$consumer/main.c" $(pkg-config --cflags weir) $libraries
    check "pkg-config, static" "$folder/static" no
else
    echo "pkg-config is not here: only find_package() is tried"
fi

{
    "$cmake" -G "$generator" -S "$consumer" -B "$folder/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$*" \
        -DCMAKE_PREFIX_PATH="$folder/moved" && "$cmake" --build "$folder/build"
} >"$folder/log" 2>&1 || {
    cat "$folder/log"
    exit 1
}
check "find_package, shared" "$folder/build/with_shared" yes
check "find_package, static" "$folder/build/with_static" no
