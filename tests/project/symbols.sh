#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh LIBRARY - headers, symbol map and shared library name the same functions
#
# Goal: nothing public is missing from the library, and nothing else is in it.
# Method: three lists, compared: each function after WEIR_EXPORT in include/weir,
# each line of src/weir.map, each symbol that nm finds in the library.
set -eu
library=$1
source=${WEIR_SOURCE:?}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

sed -n 's/^WEIR_EXPORT [^(]*[ *]\([a-z0-9_]*\)(.*/\1/p' "$source"/include/weir/*.h |
    sort -u >"$folder/headers"
sed -n 's/^    \(weir_[a-z0-9_]*\);$/\1/p' "$source/src/weir.map" | sort >"$folder/map"
# Without the version nodes themselves, which nm lists as absolute symbols.
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    grep -v -e '^__[a-z]*san_' -e '^__gcov_' -e '^__llvm_' -e '^__start_' -e '^__stop_' |
    sort -u >"$folder/library"

[ -s "$folder/headers" ] || {
    echo "FAILED: no WEIR_EXPORT was found in the headers"
    exit 1
}
failed=0
compare() { # list, list, sentence
    comm -23 "$folder/$1" "$folder/$2" >"$folder/only"
    while read -r name; do
        echo "FAILED: $name $3"
        failed=1
    done <"$folder/only"
}
compare headers map "is in the headers and not in src/weir.map"
compare map headers "is in src/weir.map and not in the headers"
compare map library "is in src/weir.map and not in the library"
compare library map "is in the library and not in src/weir.map"
sort -c "$folder/map" || failed=1
echo "$(wc -l <"$folder/map") functions"
exit "$failed"
