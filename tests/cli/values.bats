#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir set, get and watch: the latest value, whole, whoever writes and whoever is killed.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf value/one value/two
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

# lines FILE N: until it has so many.
lines() {
    until [ "$(wc -l <"$1")" -ge "$2" ]; do read -rt 0.01 <> <(:) || true; done
}

@test "what was set is got, byte for byte" {
    works "$WEIR" set value/one 21.5
    [ -z "$output" ]
    [ "$("$WEIR" get value/one | od -An -c | tr -d ' \n')" = 21.5 ]
    head -c 3000 /dev/urandom >bytes
    works "$WEIR" set value/one <bytes
    "$WEIR" get value/one | cmp - bytes
    works "$WEIR" set value/one ""
    [ "$("$WEIR" get value/one | wc -c)" -eq 0 ]
    [ "$(field value/one KIND)" = latest ]
    [ "$(field value/one LIFETIME)" = persistent ]
}

@test "JSON has name, version, size, text and hex" {
    [ "$WEIR_JSON" = 1 ] || skip "this weir writes no JSON"
    "$WEIR" set value/one 'a "b"'
    [ "$("$WEIR" get --json value/one)" = \
        '{"name":"value/one","version":1,"size":5,"text":"a \"b\"","hex":"6120226222"}' ]
    printf '\377\000' | "$WEIR" set value/one
    [ "$("$WEIR" get -J value/one)" = \
        '{"name":"value/one","version":2,"size":2,"text":null,"hex":"ff00"}' ]
}

@test "of many that set at once each has its version" {
    for i in {1..20}; do
        "$WEIR" set value/one "$i" 3>&- &
    done
    wait
    "$WEIR" set value/one end
    "$WEIR" watch --count 1 value/one >seen
    [ "$(cat seen)" = end ]
    [ "$WEIR_JSON" = 0 ] || [[ "$("$WEIR" get -J value/one)" =~ \"version\":21, ]]
}

@test "of many that make it at once, each with its own size, none is refused" {
    local i pids pid
    head -c 8M /dev/zero >bytes # it takes a while to write them
    for _ in {1..10}; do
        pids=()
        for i in {1..4}; do
            "$WEIR" set --wait 30 --max "1${i}M" value/one <bytes 3>&- &
            pids+=($!)
        done
        for pid in "${pids[@]}"; do
            wait "$pid"
        done
        "$WEIR" rm value/one
    done
}

# A writer is there until 'set --wait 1' has had its input for 0.2 s, which comes after 1.2 s; sets ended.
set_late() {
    local result holder
    ended=0
    "$WEIR" set value/one early
    rm -f held given
    "$WEIR_BUILD/tests/write_on" value/one <hold >held 3>&- &
    holder=$!
    exec {fd}>hold
    until [ -s held ]; do read -rt 0.01 <> <(:) || true; done
    refused 1 "a writer already, which lives" "$WEIR" set --wait 0 value/one other
    { read -rt 1.2 <> <(:) || printf late; : >given; } | "$WEIR" set --wait 1 value/one 2>said 3>&- {fd}>&- &
    result=$!
    until [ -e given ]; do read -rt 0.01 <> <(:) || true; done
    read -rt 0.2 <> <(:) || true
    exec {fd}>&-
    wait "$result" || ended=$?
    wait "$holder"
    echo "status $ended: $(cat said)"
}

@test "the time to wait for another one begins when there is something to write" {
    local ended
    mkfifo hold
    for _ in 1 2 3; do # on a loaded machine the second may be over, but not each time
        set_late
        [ "$ended" -ne 0 ] || break
    done
    [ "$ended" -eq 0 ]
    [ "$("$WEIR" get value/one)" = late ]
}

@test "a value that is '-' is stored, with a remark" {
    run --separate-stderr "$WEIR" set value/one - <<<input
    [ "$status" -eq 0 ]
    [ "$stderr" = "weir set: the value is '-': standard input is read where there is no VALUE" ]
    [ "$("$WEIR" get value/one)" = - ]
    works "$WEIR" set -q value/one -
    printf - | works "$WEIR" set value/one
    "$WEIR" rm value/one
}

@test "what was not made ready by its maker is, by the next set" {
    works "$WEIR" create "posix:/weir-test-$$" --size 1M
    refused 1 "not been made ready" "$WEIR" get "posix:/weir-test-$$"
    works "$WEIR" set "posix:/weir-test-$$" 21.5
    works "$WEIR" get "posix:/weir-test-$$"
    [ "$output" = 21.5 ]
    works "$WEIR" rm "posix:/weir-test-$$"
}

@test "watch says that a writer was killed, and waits for another one" {
    local writer watcher
    "$WEIR_BUILD/examples/latest_hello_writer" 3>&- &
    writer=$!
    until "$WEIR" get hello-latest >/dev/null 2>&1; do read -rt 0.01 <> <(:) || true; done
    kill -STOP "$writer"
    "$WEIR" watch hello-latest >seen 2>said 3>&- &
    watcher=$!
    until [ -s seen ]; do read -rt 0.01 <> <(:) || true; done
    kill -KILL "$writer"
    until grep -q "its writer was killed" said; do read -rt 0.01 <> <(:) || true; done
    read -rt 0.7 <> <(:) || true # the library says it five times a second
    # The time that it waits at most is over also when a writer was killed.
    run --separate-stderr timeout 20 "$WEIR" watch --new --timeout 0.3 hello-latest
    [ "$status" -eq 0 ]
    [ "$(grep -c "its writer was killed" <<<"$stderr")" -eq 1 ]
    kill -0 "$watcher"
    kill "$watcher"
    [ "$(wc -l <said)" -eq 1 ]
}

@test "watch notices that nobody reads what it prints, though no value comes" {
    "$WEIR" set value/one x
    (
        timeout 20 "$WEIR" watch value/one 2>err 3>&- || echo $? >status
    ) | head -1 >out
    [ "$(cat out)" = x ]
    [ "$(cat status)" = 141 ]
    [ "$(cat err)" = '' ]
}

@test "watch prints the value that is there, then newer ones" {
    "$WEIR" set value/one first
    "$WEIR" watch --count 3 value/one >seen 3>&- &
    local watcher=$!
    lines seen 1
    "$WEIR" set value/one second
    lines seen 2
    printf 'third\n' | "$WEIR" set value/one
    wait "$watcher"
    [ "$(tr '\n' ' ' <seen)" = "first second third " ]
}

@test "watch --new leaves out what is there; --timeout ends it with 0" {
    "$WEIR" set value/one old
    works "$WEIR" watch --new --timeout 0.05 value/one
    [ -z "$output" ]
    works "$WEIR" watch --timeout 0 value/one
    [ "$output" = old ]
}

@test "what cannot be is told" {
    refused 1 "there is no latest value under name .*: .*'weir set' makes it" "$WEIR" get value/one
    refused 1 "there is no latest value under name" "$WEIR" watch value/one
    "$WEIR" set --max 10 value/one 0123456789
    refused 1 "takes 10 bytes at most, not 11" "$WEIR" set value/one 01234567890
    [ "$("$WEIR" get value/one)" = 0123456789 ]
    refused 1 "--max is [0-9]*: 1 to" "$WEIR" set --max 100T value/two x
    refused 2 "room for a byte" "$WEIR" set --max 0 value/two x
    mkfifo never
    refused 2 '[.][.]' timeout 20 "$WEIR" set ../two <>never # before the value is read
    "$WEIR" create value/two --size 5000
    refused 1 "value/two" "$WEIR" get value/two
    refused 1 "'value/one' is a latest value, not a channel" "$WEIR" sub value/one
    refused 1 "value/two" "$WEIR" set value/two x
    refused 2 "which value" "$WEIR" get
    refused 2 "which value" "$WEIR" set
    refused 2 "which value" "$WEIR" watch
    refused 2 "too much" "$WEIR" set value/one a b
    refused 2 "too much" "$WEIR" get value/one value/two
    refused 2 "count" "$WEIR" watch --count 0 value/one
    refused 2 "seconds are wanted" "$WEIR" watch --timeout soon value/one
    refused 2 "no name of a value" "$WEIR" get id:1
}

@test "a full disk is told by get and watch, and ends them, line by line as well" {
    local command
    "$WEIR" set value/one x
    run --separate-stderr sh -c '"$WEIR" get value/one >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" =~ cannot\ write ]]
    run --separate-stderr sh -c '"$WEIR" watch value/one >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" =~ cannot\ write ]]
    head -c 100K /dev/zero | "$WEIR" set value/two # more than is written at the end
    for command in get watch; do
        run --separate-stderr sh -c '"$WEIR" "$0" value/two >/dev/full' "$command"
        [ "$status" -eq 1 ]
        [ "$stderr" = "weir $command: cannot write the output: No space left on device" ]
    done
    by_lines_can || return 0
    for command in get watch 'get --json' 'watch --json'; do
        [[ "$command" != *json ]] || [ "$WEIR_JSON" = 1 ] || continue
        # shellcheck disable=SC2086 # words are wanted
        run --separate-stderr by_lines $command value/one
        [ "$status" -eq 1 ]
        [ "$stderr" = "weir ${command%% *}: cannot write the output: No space left on device" ]
    done
}

@test "a set that is killed anywhere leaves a whole value, and the place free" {
    head -c 4000 /dev/zero | tr '\0' a >a
    head -c 4000 /dev/zero | tr '\0' b >b
    "$WEIR" set value/one <a
    for i in {1..20}; do
        "$WEIR" set value/one <b 3>&- &
        local writer=$!
        for _ in $(seq $((i * 40))); do :; done
        kill -KILL "$writer" 2>/dev/null || true
        wait "$writer" || true
        "$WEIR" get value/one >seen
        cmp -s seen a || cmp -s seen b
        "$WEIR" set value/one <a
    done
}

@test "a POSIX segment that is cut off under watch is told of before it ends" {
    local name="weir-test-cut-$$" status=0
    works "$WEIR" set "posix:/$name" one
    "$WEIR" watch "posix:/$name" >seen 2>told 3>&- &
    local watch=$!
    until grep -q one seen; do read -rt 0.01 <> <(:) || true; done
    truncate -s 0 "/dev/shm/$name"
    wait "$watch" || status=$?
    rm -f "/dev/shm/$name"
    [ "$status" -eq 135 ]
    [ "$(cat told)" = "weir: the POSIX segment was cut off by another process while it was used: SIGBUS" ]
}

# as UID ARGUMENT...: weir as this user, of group 65533 as well.
as() {
    setpriv --reuid "$1" --regid "$1" --groups 65533 "$nobody_folder/weir" "${@:2}"
}

@test "what another user made is taken with --any-owner alone" {
    nobody_can
    works as_nobody set --mode 0666 key:0x7bb6 theirs
    local cure='uid 65534.*: say --any-owner, if you trust uid 65534$'
    refused 1 "$cure" "$WEIR" get key:0x7bb6
    refused 1 "$cure" "$WEIR" watch -c 1 key:0x7bb6
    refused 1 "$cure" "$WEIR" set key:0x7bb6 mine
    works "$WEIR" get --any-owner key:0x7bb6
    [ "$output" = theirs ]
    works "$WEIR" set --any-owner key:0x7bb6 mine
    works "$WEIR" watch --any-owner -c 1 key:0x7bb6
    [ "$output" = mine ]
    as_nobody rm key:0x7bb6
}

@test "users with a group in common share a value, a lock and a semaphore" {
    nobody_can
    mkdir -m 2770 run
    chgrp 65533 run
    export WEIR_DIR=$PWD/run
    chmod o+x "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
    local ours=(--mode 0660 --gid 65533 --any-owner)
    works as 65534 set "${ours[@]}" v one
    works as 65532 get --any-owner v
    [ "$output" = one ]
    works as 65532 set "${ours[@]}" v two
    works as 65534 get v # it is its own
    [ "$output" = two ]
    works as 65534 sem "${ours[@]}" s post 2
    works as 65532 sem "${ours[@]}" s wait
    works as 65534 sem s
    [ "$output" = 1 ]
    # The death of the one is told to the other.
    setpriv --reuid 65534 --regid 65534 --groups 65533 "$nobody_folder/weir" \
        lock "${ours[@]}" l -- sleep 60 3>&- &
    until [[ "$(as 65532 lock --any-owner l 2>&1)" == "held by process $!" ]]; do :; done
    refused 1 'somebody else holds' as 65532 lock "${ours[@]}" --try l -- true
    kill -KILL $!
    wait $! || true
    run --separate-stderr as 65532 lock "${ours[@]}" --wait 20 l -- true
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"former holder died"* ]]
    as 65534 rm v s l
}

@test "info tells the version of a value, and how large it is and may be" {
    "$WEIR" set --max 8K value/one first
    "$WEIR" set value/one again
    "$WEIR" info -qb value/one | grep -A1 '^VERSION' >told
    read -r version size max < <(tail -n 1 told)
    [ "$version $size $max" = '2 5 8192' ]
    if [ "${WEIR_JSON:-1}" = 1 ]; then
        "$WEIR" info -qJ value/one | jq -e '.value.version == 2 and ([.value[]] | length) == 3'
    fi
    "$WEIR" rm value/one
}
