#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The classic bounded buffer, in plain System V calls and with weir, and its benchmark.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    examples="$WEIR_BUILD/examples"
    [ -x "$examples/bounded_weir" ] || skip "the examples are not built"
}

no_sets_left() {
    [ "$WEIR_ISOLATED" = 1 ] || return 0 # then others are here, and tests/isolated compares
    [ "$(tail -n +2 /proc/sysvipc/shm)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/sem)" = "" ]
}

@test "both copy every byte" {
    for size in 0 1 524288 3000001; do
        head -c $size /dev/urandom >in
        for program in bounded_sysv bounded_weir; do
            "$examples/$program" <in >out
            cmp in out
        done
    done
    no_sets_left
}

@test "both tell of a full output and a bad input, and neither hangs" {
    head -c 3000000 /dev/zero >in
    for program in bounded_sysv bounded_weir; do
        run --separate-stderr bash -c '"$1" <in >/dev/full' - "$examples/$program"
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"No space left"* ]]
        [ $program = bounded_sysv ] || [[ "$stderr" == *"the other side failed: No space left"* ]]
        run --separate-stderr bash -c '"$1" <. >/dev/null' - "$examples/$program"
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"Is a directory"* ]]
    done
    no_sets_left
}

@test "two unrelated programs, either order" {
    head -c 3000000 /dev/urandom >in
    "$examples/bounded_weir" consume one >out &
    "$examples/bounded_weir" produce one <in
    wait $!
    cmp in out
    "$examples/bounded_weir" produce two <in &
    "$examples/bounded_weir" consume two >out
    wait $!
    cmp in out
    no_sets_left
}

@test "a child of bounded_sysv is killed: the other ends, and no set is left" {
    mkfifo in out
    "$examples/bounded_sysv" <in >out 2>err &
    parent=$!
    exec 7>in 8<out
    echo hello >&7
    read -r line <&8
    [ "$line" = hello ]
    read -r child _ < <(cat "/proc/$parent/task/$parent/children" && echo)
    kill -9 "$child"
    exec 7>&-
    wait $parent && status=0 || status=$?
    [ $status -eq 1 ]
    no_sets_left
}

@test "the benchmark runs, and compares what it copied" {
    [ -x "$WEIR_BUILD/bench/classic" ] || skip "the benchmarks are not built"
    run --separate-stderr "$WEIR_BUILD/bench/classic" -d . -m 2 -r 1
    [ "$status" -eq 0 ]
    [ "$(grep -c '^  send' <<<"$output")" -eq 2 ]
    [ "$(find . -name "classic-*")" = "" ]
    no_sets_left
}
