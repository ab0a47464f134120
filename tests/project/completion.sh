#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Completion offers what the command has.
#
# Goal: commands, options, objects, scenes and topics are completed.
# Method: calls the function as bash does, with words typed so far.
set -u
PATH=$(dirname "${WEIR:?}"):$PATH
# shellcheck source=/dev/null
source "${WEIR_SOURCE:?}/tools/weir/weir.bash"
failed=0

expect() { # offered words that must be there, words typed so far...
    local wanted=$1 word
    shift
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
    _weir
    for word in $wanted; do
        if ! printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -e "$word"; then
            echo "FAILED: '$*' is not completed with $word, but with: ${COMPREPLY[*]}"
            failed=1
        fi
    done
}

offers_only() { # the words, words typed so far...
    expect "$@"
    [ "${COMPREPLY[*]}" = "$1" ] || {
        echo "FAILED: '${*:2}' offers ${COMPREPLY[*]}, expected only $1"
        failed=1
    }
}

expect "create demo explain list send --version" weir ""
offers_only "recv" weir rec
offers_only "--wait=" weir send --w
expect "seed lifecycle race" weir demo ""
expect "shmget shm_open semop" weir explain s
"$WEIR" create completion/one --size 4096 >/dev/null || exit 1
offers_only "completion/one" weir info completion/
# A channel where one is wanted, and nothing else; and where a value is, no channel.
"$WEIR" pub -q --persistent completion/two </dev/null || exit 1
offers_only "completion/one completion/two" weir info completion/
for command in pub sub tap top; do
    offers_only "completion/two" weir "$command" completion/
done
for command in get set watch; do
    offers_only "completion/one" weir "$command" completion/
done
# Bash cuts the words of its line at a colon.
ipcmk -M 100 >/dev/null || exit 1
object=$("$WEIR" list --segments --raw --noheadings --output=OBJECT | grep -m1 :)
by=${object%:*} rest=${object#*:}
COMP_WORDS=(weir info "$by" : "${rest:0:1}") COMP_CWORD=4 COMP_LINE="weir info $by:${rest:0:1}"
COMP_POINT=${#COMP_LINE}
_weir
[ "${COMPREPLY[*]}" = "$rest" ] || {
    echo "FAILED: '$COMP_LINE' is completed with ${COMPREPLY[*]}, expected $rest"
    failed=1
}
# In quotes it does not.
COMP_WORDS=(weir info "\"$by:${rest:0:1}") COMP_CWORD=2 COMP_LINE="weir info \"$by:${rest:0:1}"
COMP_POINT=${#COMP_LINE}
_weir
[ "${COMPREPLY[*]}" = "$object" ] || {
    echo "FAILED: '$COMP_LINE' is completed with ${COMPREPLY[*]}, expected $object"
    failed=1
}
"$WEIR" rm -q "$object"
# What somebody else called his object is not expanded by the shell, nor offered to it.
folder=$(mktemp -d)
cd "$folder" || exit 1
# shellcheck disable=SC2016 # it is not to be expanded
bad='/dev/shm/$(touch${IFS}expanded)'
: >"$bad"
offers_only "completion/one completion/two" weir info completion/
# shellcheck disable=SC2016 # likewise
offers_only "" weir info 'posix:/$'
[ ! -e expanded ] || {
    echo "FAILED: a command in an object's name was run"
    failed=1
}
cd / && rm -r -- "$bad" "$folder"
"$WEIR" rm -q completion/two
expect "--wait= --wait-for=" weir pub --wa
"$WEIR" rm -q completion/one
exit "$failed"
