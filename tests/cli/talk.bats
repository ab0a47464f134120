#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: two event loops, each with a publisher and a subscriber, talk through descriptors alone.
# Method: the example program talk, twice; files, pipes, a killed partner.

load common

setup() {
    talk=$WEIR_BUILD/examples/talk
    cd "$BATS_TEST_TMPDIR" || exit
}

@test "both say more than a ring holds, and both hear all of it" {
    seq 400000 >left
    seq 3 500000 >right
    timeout 60 "$talk" left right <left >heard_left &
    timeout 60 "$talk" right left <right >heard_right
    wait $!
    cmp left heard_right
    cmp right heard_left
}

@test "one that has nothing to say hears the other to the end" {
    printf 'one\ntwo\n' | timeout 20 "$talk" a b >/dev/null &
    run timeout 20 "$talk" b a </dev/null
    wait $!
    [ "$status" -eq 0 ]
    [ "$output" = $'one\ntwo' ]
}

@test "it sleeps while nobody speaks, and hears at once" {
    mkfifo words
    timeout 20 "$talk" a b <words >/dev/null &
    one=$!
    timeout 20 "$talk" b a </dev/null >heard &
    two=$!
    exec 7>words
    echo hello >&7
    until grep -q hello heard; do :; done
    echo again >&7
    exec 7>&-
    wait $one
    wait $two
    [ "$(cat heard)" = $'hello\nagain' ]
}

@test "a partner that is killed is told of" {
    mkfifo words
    "$talk" a b <words >/dev/null &
    one=$!
    timeout 20 "$talk" b a </dev/null >heard 2>error &
    two=$!
    exec 7>words
    echo hello >&7
    until grep -q hello heard; do :; done
    kill -KILL $one
    wait $one || true
    exec 7>&-
    result=0
    wait $two || result=$?
    [ "$result" -eq 1 ]
    grep -q killed error
}
