#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: weir tap prints what is published, is seen by nobody, and slows nobody, stopped or not.
# Method: processes of weir pub, sub and tap; a stopped tap beside a ring that goes round.

load channels.bash

# tap FILE ARGUMENT...: 'weir tap' into FILE, in the background.
tap() {
    local file=$1
    shift
    "$WEIR" tap "$@" >"$file" 2>"$file.err" 3>&- &
    tap_pid=$!
    children+=("$tap_pid")
}

@test "what is still there, and what comes" {
    sub one c
    pub_open
    seq 5 >&5
    until_so has_lines one 5
    works "$WEIR" tap --from oldest --timeout 0 c
    [ "$output" = "$(seq 5)" ]
    works "$WEIR" tap --from -2 --count 2 c
    [ "$output" = "$(seq 4 5)" ]
    works "$WEIR" tap --timeout 0 c
    [ -z "$output" ]
    works "$WEIR" tap --from oldest --hex --count 1 c
    [ "$output" = 31 ]
    works "$WEIR" tap --from oldest --raw --count 3 c
    [ "$output" = 123 ]
    tap two --from -1 c
    until_so has_lines two 1
    seq 6 9 >&5
    until_so has_lines two 5
    [ "$(cat two)" = "$(seq 5 9)" ]
    # Nobody sees it: two members, as before.
    [ "$("$WEIR" top -1i 0.05 c | wc -l)" -eq 3 ]
    kill -TERM "$tap_pid"
    ends "$tap_pid" 0
    [ ! -s two.err ]
    exec 5>&-
}

@test "a tap that is stopped slows nobody, and says what it has missed" {
    sub one c
    pub_open --ring 64K
    echo begin >&5
    until_so has_lines one 1
    tap two --from oldest c
    until_so has_lines two 1
    stop "$tap_pid"
    seq 20000 >&5
    until_so has_lines one 20001
    kill -CONT "$tap_pid"
    is_last() { [ "$(tail -n 1 two)" = 20000 ]; }
    until_so is_last
    kill -TERM "$tap_pid"
    wait "$tap_pid"
    # What it has is in order, and what it has and what it missed is all.
    tail -n +2 two | sort -nuc
    [[ "$(cat two.err)" =~ ^weir\ tap:\ ([0-9]+)\ messages\ were\ overwritten ]]
    [ "$((BASH_REMATCH[1] + $(wc -l <two)))" -eq 20001 ]
    if [ "$WEIR_JSON" = 1 ]; then
        "$WEIR" tap --json --from -1 -c 1 c | jq -e '.text == "20000" and .sequence == 20000'
    fi
    exec 5>&-
}

@test "large messages, and an output that nobody reads" {
    sub one c
    pub_open
    head -c 100000 /dev/zero | tr '\0' x >&5
    echo >&5
    until_so has_lines one 1
    "$WEIR" tap --from oldest --count 1 c | cmp - one
    tap two c
    exec 5>&-
    run --separate-stderr bash -c '"$0" tap --from oldest c | true; exit "${PIPESTATUS[0]}"' "$WEIR"
    [ "$status" -eq 141 ]
    [ "$stderr" = '' ]
}

@test "called wrongly" {
    refused 2 'which CHANNEL' "$WEIR" tap
    refused 2 "'d' is too much" "$WEIR" tap c d
    refused 2 'name' "$WEIR" tap ../c
    refused 2 'one of them at most' "$WEIR" tap --raw --hex c
    refused 2 "--from 'x': oldest, now or -N" "$WEIR" tap --from x c
    refused 2 "--from '-x': oldest, now or -N" "$WEIR" tap --from -x c
    refused 2 "--count '0'" "$WEIR" tap -c 0 c
    refused 1 "'c'" "$WEIR" tap c
    "$WEIR" create c --size 4096
    refused 1 "'c'" "$WEIR" tap c
    [ -n "$("$WEIR" list -w --noheadings)" ]
}
