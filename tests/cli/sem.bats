#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir sem: a named semaphore counts, and is waited for.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf sem/one sem/two slots
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

@test "post adds, wait takes, value shows" {
    works "$WEIR" sem sem/one post
    [ -z "$output" ]
    works "$WEIR" sem sem/one post 4
    works "$WEIR" sem sem/one
    [ "$output" = 5 ]
    works "$WEIR" sem sem/one wait
    works "$WEIR" sem sem/one wait 3
    works "$WEIR" sem sem/one value
    [ "$output" = 1 ]
    [ "$(field sem/one KIND)" = semaphore ]
    refused 1 "would be above 2147483647: nothing was posted" "$WEIR" sem sem/one post 2147483647
    "$WEIR" rm -qf sem/one
    works timeout 5 "$WEIR" sem sem/one post 2147483647 # at once
    works "$WEIR" sem sem/one value
    [ "$output" = 2147483647 ]
}

@test "--initial is the value of a new one alone, also of many that come at once" {
    for _ in {1..8}; do
        "$WEIR" sem --initial 10 sem/one wait 3>&- &
    done
    wait
    [ "$("$WEIR" sem sem/one)" -eq 2 ]
    works "$WEIR" sem --initial 99 sem/one post
    [ "$("$WEIR" sem sem/one)" -eq 3 ]
}

@test "not enough: --try and --wait end with 1, and nothing is taken" {
    "$WEIR" sem sem/one post 2
    refused 1 "'sem/one': it is 2, and 9 are wanted" "$WEIR" sem --try sem/one wait 9
    refused 1 "'sem/one': it was 2 at the deadline, and 3 are wanted" \
        "$WEIR" sem --wait 0.05 sem/one wait 3
    works "$WEIR" sem sem/two post 0
    refused 1 "'sem/two': it is 0, and 1 is wanted" "$WEIR" sem --try sem/two wait
    refused 1 "'sem/two': it was 0 at the deadline, and 1 is wanted" \
        "$WEIR" sem --wait 0.05 sem/two wait
    [ "$("$WEIR" sem sem/one)" -eq 2 ]
    run --separate-stderr "$WEIR" sem -nq sem/one wait 3
    [ "$status" -eq 1 ] && [ -z "$output$stderr" ]
}

@test "one that waits is woken by a post" {
    "$WEIR" sem sem/one post 0
    "$WEIR" sem --wait 30 sem/one wait 2 3>&- &
    local waiter=$!
    "$WEIR" sem sem/one post
    "$WEIR" sem sem/one post
    wait "$waiter"
    [ "$("$WEIR" sem sem/one)" -eq 0 ]
}

# asleep PID: until the kernel says that this weir sleeps; fails when it has ended instead.
asleep() {
    local line
    until line=$(cat "/proc/$1/stat") && [[ "$line" == *"(weir) S "* ]]; do
        [[ "$line" == *" ("* && "$line" != *") Z "* ]]
        read -rt 0.01 <> <(:) || true
    done
}

@test "of two that wait for several one gets them all, and then the other" {
    for _ in {1..5}; do
        "$WEIR" sem sem/one post 0
        "$WEIR" sem --wait 30 sem/one wait 2 3>&- &
        asleep $!
        "$WEIR" sem --wait 30 sem/one wait 2 3>&- &
        asleep $!
        "$WEIR" sem sem/one post 2
        wait -n
        "$WEIR" sem sem/one post 2
        wait -n
        [ "$("$WEIR" sem sem/one)" -eq 0 ]
    done
    "$WEIR" sem sem/one post 2
    works "$WEIR" sem --wait 0 sem/one wait 2
}

@test "one that gathers and is ended, or killed, is not in the way of the next" {
    local number gatherer status
    for number in TERM HUP KILL; do
        "$WEIR" sem sem/one post 2
        "$WEIR" sem sem/one wait 3 3>&- &
        gatherer=$!
        until [ "$("$WEIR" sem sem/one)" -eq 0 ]; do :; done
        refused 1 "another one was gathering" "$WEIR" sem --wait 0.05 sem/one wait 2
        works timeout 20 "$WEIR" sem sem/one wait 0
        refused 1 "it is 0, and 2 are wanted" "$WEIR" sem --try sem/one wait 2 # does not gather
        status=0
        kill -s "$number" "$gatherer"
        wait "$gatherer" || status=$?
        [ "$status" -eq $((128 + $(kill -l "$number"))) ]
        [ "$number" != KILL ] || "$WEIR" sem sem/one post 2 # what it had is gone
        works "$WEIR" sem --wait 30 sem/one wait 2
        "$WEIR" sem sem/one post 2
        works "$WEIR" sem --wait 30 sem/one wait 2
        [ "$("$WEIR" sem sem/one)" -eq 0 ]
    done
}

@test "one that takes many and is interrupted gives them back, also if it does not wait" {
    local taker status=0
    "$WEIR" sem --initial 2000000000 sem/one post 1
    works timeout 20 "$WEIR" sem sem/one wait 0
    "$WEIR" sem --try sem/one wait 2000000000 3>&- &
    taker=$!
    until [ "$("$WEIR" sem sem/one)" -lt 2000000000 ]; do :; done
    kill -TERM "$taker"
    wait "$taker" || status=$?
    [ "$status" -eq 143 ]
    [ "$("$WEIR" sem sem/one)" -eq 2000000001 ]
}

@test "to look at one makes nothing of zeros, and wants no right to write" {
    "$WEIR" sem sem/one post 1
    local size
    size=$(field sem/one SIZE)
    "$WEIR" create key:0x53a1 --size "$size"
    works "$WEIR" sem --initial 5 key:0x53a1
    [ "$output" = 0 ]
    [ "$("$WEIR" read key:0x53a1 | tr -d '\0' | wc -c)" -eq 0 ]
    works "$WEIR" sem --initial 5 key:0x53a1 post 1
    works "$WEIR" sem key:0x53a1
    [ "$output" = 6 ]
    "$WEIR" rm key:0x53a1
}

@test "a wait that is longer than there are clocks for is one for ever" {
    local waiter
    "$WEIR" sem sem/one post 0
    "$WEIR" sem --wait 1e300 sem/one wait 3>&- &
    waiter=$!
    asleep "$waiter"
    "$WEIR" sem sem/one post
    wait "$waiter"
    [ "$("$WEIR" sem sem/one)" -eq 0 ]
}

@test "a wrong call is refused" {
    refused 2 "which semaphore" "$WEIR" sem
    refused 2 "post, wait or value" "$WEIR" sem sem/one add
    refused 2 "post 'many'" "$WEIR" sem sem/one post many
    refused 2 "too much" "$WEIR" sem sem/one post 1 2
    refused 2 "too much" "$WEIR" sem sem/one value 1
    refused 2 "initial" "$WEIR" sem --initial 2147483648 sem/one post
    refused 1 "there is no semaphore under name .*'weir sem NAME post' makes it" \
        "$WEIR" sem sem/one
    "$WEIR" lock sem/two -- true
    refused 1 "is a mutex, not a semaphore" "$WEIR" sem sem/two
    "$WEIR" sem --initial 2147483647 sem/one post 0
    refused 1 "highest value.*nothing was posted" "$WEIR" sem sem/one post
}

@test "a semaphore may lie in a POSIX segment" {
    works "$WEIR" sem --initial 2 "posix:/weir-test-$$" wait
    [ "$("$WEIR" sem "posix:/weir-test-$$")" -eq 1 ]
    works "$WEIR" rm "posix:/weir-test-$$"
}

@test "what another user made is taken with --any-owner alone" {
    nobody_can
    works as_nobody sem --mode 0666 key:0x7bb6 post
    local cure='uid 65534.*: say --any-owner, if you trust uid 65534$'
    refused 1 "$cure" "$WEIR" sem key:0x7bb6 post
    refused 1 "$cure" "$WEIR" sem key:0x7bb6
    works "$WEIR" sem --any-owner key:0x7bb6 post
    works "$WEIR" sem --any-owner key:0x7bb6
    as_nobody rm key:0x7bb6
}

@test "the example of --help posts only what it has taken" {
    local example
    example=$("$WEIR" sem --help | grep 'slots wait')
    [[ "$example" == *'wait && { work; weir sem slots post; }' ]]
    works "$WEIR" sem --initial 1 slots wait
    weir() { "$WEIR" "$@"; }
    work() { echo worked; }
    run ! eval "${example/wait/wait --try}"
    [ "$("$WEIR" sem slots value)" = 0 ]
    "$WEIR" sem slots post
    [ "$(eval "$example")" = worked ]
    [ "$("$WEIR" sem slots value)" = 1 ]
}
