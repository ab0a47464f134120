#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the shortest writer and reader of a latest value meet, and are short; a writer that is killed
#       costs its readers nothing.
# Method: the example programs.

load common

@test "a reader finds what a writer wrote" {
    "$WEIR_BUILD/examples/latest_hello_writer" &
    local pid=$! tries=0 listed
    until "$WEIR_BUILD/examples/latest_hello_reader" >"$BATS_TEST_TMPDIR/out" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ]
        sleep 0.01
    done
    # It lives for two seconds, and shall be there meanwhile.
    kill -STOP "$pid"
    listed=$("$WEIR" list -w -o KIND | grep -c latest) || true
    kill -CONT "$pid"
    grep -qx 'the latest number is [0-9]*' "$BATS_TEST_TMPDIR/out"
    [ "$listed" -eq 1 ]
    wait "$pid"
    run "$WEIR_BUILD/examples/latest_hello_reader"
    [ "$status" -eq 1 ]
    [[ $output == *"'hello-latest'"* ]]
}

@test "writers that are killed one after the other" {
    run timeout 20 "$WEIR_BUILD/examples/latest_pose"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'thousands of places, none torn' <<<"$output")" -eq 3 ]
    [ "$(grep -c 'goes on for one that was killed' <<<"$output")" -eq 2 ]
}

@test "the two main() have at most 15 lines" {
    for name in writer reader; do
        lines=$(sed -n '/^int main/,/^}/p' "$WEIR_SOURCE/examples/latest/hello_$name.c" | wc -l)
        [ "$lines" -gt 3 ]
        [ "$lines" -le 15 ]
    done
}
