#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the shortest publisher and subscriber meet in either order, and are short.
# Method: the example programs, as two processes that know only the channel's name.

load common

setup() {
    publisher=$WEIR_BUILD/examples/hello_publisher
    subscriber=$WEIR_BUILD/examples/hello_subscriber
}

@test "the publisher first" {
    timeout 20 "$publisher" &
    run timeout 20 "$subscriber"
    [ "$status" -eq 0 ]
    [ "$output" = $'0\n1\n2' ]
    wait $!
}

@test "the subscriber first" {
    timeout 20 "$subscriber" >"$BATS_TEST_TMPDIR/out" &
    run timeout 20 "$publisher"
    [ "$status" -eq 0 ]
    wait $!
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = $'0\n1\n2' ]
}

@test "a killed publisher is told from one that has ended" {
    "$publisher" &
    local pid=$!
    kill -KILL "$pid"
    wait "$pid" || true
    timeout 20 "$subscriber" >"$BATS_TEST_TMPDIR/out" &
    run timeout 20 "$publisher"
    [ "$status" -eq 0 ]
    wait $!
}

@test "each main() has at most 15 lines" {
    for name in publisher subscriber; do
        lines=$(sed -n '/^int main/,/^}/p' "$WEIR_SOURCE/examples/channel/hello_$name.c" | wc -l)
        [ "$lines" -gt 3 ]
        [ "$lines" -le 15 ]
    done
}
