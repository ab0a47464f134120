#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the example of a wait set tells of messages, publishers, deaths and its input as they come.
# Method: the program, and the command beside it; a publisher that is killed.

load common

setup() {
    switchboard=$WEIR_BUILD/examples/switchboard
    cd "$BATS_TEST_TMPDIR" || exit
    mkfifo words lines
}

heard() {
    local until=$((SECONDS + 20))
    until grep -q -- "$1" heard; do
        [ $SECONDS -lt $until ] || return 1
    done
}

@test "messages of three channels, who publishes, and a publisher that is killed" {
    timeout 50 "$switchboard" a b c <words >heard &
    one=$!
    exec 7>words
    heard '^c: 0 publishers'
    seq 3 | "$WEIR" pub b
    heard '^b: 3$'
    echo hello | "$WEIR" pub a
    heard '^a: hello$'
    "$WEIR" pub c <lines &
    publisher=$!
    exec 8>lines
    heard '^c: 1 publishers'
    echo again >&8
    heard '^c: again$'
    kill -KILL $publisher
    wait $publisher || true
    heard '^c: the last publisher was killed'
    exec 8>&-
    until [ "$(grep -c '^c: 0 publishers' heard)" -eq 2 ]; do :; done
    echo quit >&7
    exec 7>&-
    wait $one
    [ "$(grep -c '^b: [123]$' heard)" -eq 3 ]
    grep -q '^5 messages in' heard
}

@test "it ends with its input" {
    run timeout 20 "$switchboard" a < <(true)
    [ "$status" -eq 0 ]
    run timeout 20 "$switchboard"
    [ "$status" -eq 2 ]
}
