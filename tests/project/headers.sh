#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh CC - each public header compiles alone, as C11 and as C++17
#
# Goal: a program may include any one header, first, in either language, and use its macros.
# Method: a compiler with all warnings reads a file that includes it, twice; and one that uses the
#         macros that make types and expressions, of constants, too.
set -u
cc=$1
cd "${WEIR_SOURCE:?}/include" || exit 1
failed=0

# shellcheck disable=SC2086 # several options
check() { # compiler, language, standard, header, options
    printf '#include <%s>\n#include <%s>\nextern int unit;\n' "$4" "$4" |
        "$1" -x "$2" -std="$3" $5 -Wall -Wextra -Wpedantic -Werror -I. -fsyntax-only - || {
        echo "FAILED: $4 as $3 with $1"
        failed=1
    }
}

case $cc in
*clang*) cxx=$(command -v clang++) ;;
*) cxx=$(command -v g++ || command -v clang++) ;;
esac
[ -n "$cxx" ] || echo "no C++ compiler here: only C11 is checked"

count=0
# What C++ programs are compiled with: pkg-config says -I, by which headers are no system's.
cxx_careful='-Wshadow -Wold-style-cast'
for header in weir/*.h; do
    check "$cc" c c11 "$header" ""
    [ -z "$cxx" ] || check "$cxx" c++ c++17 "$header" "$cxx_careful"
    count=$((count + 1))
done

macros='#include <weir/weir.h>
typedef WEIR_POINTER(int) number;
struct point { int x, y; };
int of(struct weir_space, const number *, number *, struct weir_channel_options *);
int of(struct weir_space space, const number *from, number *to,
       struct weir_channel_options *options)
{
    int *at = weir_pointer_get(space, *from);
    weir_pointer_set(space, to, at);
    WEIR_CHANNEL_TYPE(options, struct point);
    return at ? *at : 0;
}'
# shellcheck disable=SC2086 # several options
use() { # compiler, language, standard, options
    printf '%s\n' "$macros" |
        "$1" -x "$2" -std="$3" $4 -Wall -Wextra -Wpedantic -Wconversion -Werror -I. -fsyntax-only - || {
        echo "FAILED: the macros as $3 with $1"
        failed=1
    }
}
use "$cc" c gnu11 ""
[ -z "$cxx" ] || use "$cxx" c++ gnu++17 "$cxx_careful"

echo "$count headers"
[ "$count" -gt 0 ] && [ "$failed" = 0 ]
