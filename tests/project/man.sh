#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh SECTION - the manual's pages of a section are complete and sound
#
# Goal: section 3 has a page for each function that is exported and for each
# header, section 1 for each command; all can be read by any man.
# Method: names compared with src/weir.map and 'weir --help'; mandoc's lint.
set -u
section=$1
folder=${WEIR_BUILD:?}/docs/man/man$section
failed=0
command -v mandoc >/dev/null || {
    echo "mandoc is not here"
    exit 77
}

expect_page() {
    [ -s "$folder/$1.$section" ] || {
        echo "FAILED: there is no page $1($section)"
        failed=1
    }
}

case $section in
1)
    expect_page weir
    for name in $("${WEIR:?}" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'); do
        expect_page "weir-$name"
    done
    while read -r name others; do
        for other in $others; do
            sed -n '/^\.SH "SEE ALSO"/,$p' "$folder/weir-$name.1" | sed 's|\\||g' |
                grep -q "^\.BR $other (" || {
                echo "FAILED: weir-$name(1) does not point to $other"
                failed=1
            }
        done
    done <<'END'
sub weir-pub weir-tap weir-top
tap weir-sub weir-top
top weir-sub weir-tap
set weir-get weir-watch
get weir-set weir-watch
watch weir-get weir-set weir-sub
lock weir-rm weir-mutex.h weir_mutex_check
sem weir-lock weir_once_check
END
    ;;
3)
    # shellcheck disable=SC2013 # words are meant
    for name in $(sed -n 's/^    \(weir_[a-z0-9_]*\);$/\1/p' "${WEIR_SOURCE:?}/src/weir.map"); do
        expect_page "$name"
        grep -q '^\.SH DESCRIPTION' "$folder/$name.3" || {
            echo "FAILED: $name(3) has no DESCRIPTION"
            failed=1
        }
    done
    # What a program has of a header by another name leads to the header's page.
    for name in weir_message weir_channel_options weir_wait_event weir_pointer_get \
        WEIR_CHANNEL_TYPE WEIR_POINTER weir-weir.h; do
        expect_page "$name"
    done
    for page in "$folder"/*.3; do
        to=$(sed -n 's|^\.so man3/||p' "$page")
        [ -z "$to" ] || expect_page "${to%.3}"
    done
    ;;
esac

count=0
for page in "$folder"/*."$section"; do
    count=$((count + 1))
    ! grep -q '^\.so ' "$page" || continue # read from the folder above
    mandoc -T lint -W warning "$page" || failed=1
done
echo "$count pages"
[ -e "$page" ] && [ "$failed" = 0 ]
