#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the programs of the tutorial and of the textbook that wait at a semaphore wait on when they
#       were stopped and go on, as by Ctrl-Z and fg.
# Method: each of the tutorial's is stopped in its wait, goes on, and has its partner only then; the
#         textbook's, which take turns for a moment, are stopped at any time, and often.

load common

setup() {
    cd "$BATS_TEST_TMPDIR"
    examples=$WEIR_BUILD/examples
    waiter=
}

teardown() {
    [ -z "$waiter" ] || kill -KILL "$waiter" 2>/dev/null || true
    wait
    remove_all
}

# start NAME COMMAND...: in the background, until it sleeps at a semaphore of NAME.
start() {
    local name=$1
    shift
    "$@" 3>&- &
    waiter=$!
    until [ "$("$WEIR" list -qsw --noheadings -r -o NAME,WAITING)" = "$name 1" ]; do
        kill -0 "$waiter"
    done
}

# Its wait is over, with EINTR, once it is stopped; what becomes of that shows when it goes on.
stop_and_go_on() {
    kill -STOP "$waiter"
    until grep -q '^State:.T' "/proc/$waiter/status"; do :; done
    kill -CONT "$waiter"
}

@test "put, stopped while it waits, waits on" {
    start tutorial/note "$examples/tutorial_put"
    stop_and_go_on
    run timeout 20 "$examples/tutorial_take"
    [ "$output" = "take: Hello by name" ]
    [ "$status" -eq 0 ]
    wait "$waiter"
}

@test "words put, stopped while it waits, waits on" {
    start tutorial/words "$examples/tutorial_words" put three short words
    stop_and_go_on
    run timeout 20 "$examples/tutorial_words" take
    [[ "$output" == "take: at 0x"*": three short words" ]]
    [ "$status" -eq 0 ]
    wait "$waiter"
}

@test "the textbook's race, stopped often, loses nothing under its semaphore" {
    local round stops=0
    for round in {1..5}; do
        setsid "$examples/textbook_race" >said 2>&1 3>&- &
        waiter=$!
        # It may be over, and be reaped, before this shell runs again.
        until { read -r _ _ _ _ group _ <"/proc/$waiter/stat"; } 2>/dev/null && [ "$group" = "$waiter" ]; do
            kill -0 "$waiter" 2>/dev/null || break
        done
        while kill -STOP -- "-$waiter" 2>/dev/null; do
            stops=$((stops + 1))
            kill -CONT -- "-$waiter" || true
        done
        wait "$waiter"
        grep -q '^with a semaphore: *20000 expected, 20000 there, 0 lost$' said
        [ "$(wc -l <said)" -eq 2 ]
    done
    [ "$stops" -gt 0 ]
}
