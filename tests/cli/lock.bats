#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir lock: one command at a time, whoever is killed.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf lock/one lock/two
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

# locked NAME COMMAND...: in the background, until it holds the mutex; its pid in $locked_pid.
locked() {
    "$WEIR" lock "$1" -- sh -c 'echo >held; exec sleep 60' 3>&- &
    locked_pid=$!
    until [ -e held ]; do read -rt 0.01 <> <(:) || true; done
}

# ends_with STATUS PID: of a child of this shell.
ends_with() {
    local status=0
    wait "$2" || status=$?
    [ "$status" -eq "$1" ]
}

@test "the command runs, and its status is the status" {
    works "$WEIR" lock lock/one -- echo here
    [ "$output" = here ]
    works "$WEIR" lock lock/one echo -n options are the command\'s
    [ "$output" = "options are the command's" ]
    run "$WEIR" lock lock/one -- sh -c 'exit 7'
    [ "$status" -eq 7 ]
    run "$WEIR" lock lock/one -- sh -c 'kill -TERM $$'
    [ "$status" -eq $((128 + 15)) ]
    [ "$(field lock/one KIND)" = mutex ]
}

@test "what cannot be run is told as env(1) does" {
    run -127 --separate-stderr "$WEIR" lock lock/one -- "$BATS_TEST_TMPDIR/none"
    [[ "$stderr" =~ No\ such\ file ]]
    refused 126 "Permission denied" "$WEIR" lock lock/one -- "$BATS_TEST_TMPDIR"
    works "$WEIR" lock --try lock/one true # it was let go
}

@test "signals that are ignored stay so for the command: nohup, and a script's &" {
    works bash -c "trap '' HUP PIPE; exec '$WEIR' lock lock/one grep SigIgn /proc/self/status"
    local ignored=$((16#${output##*[[:space:]]}))
    [ $((ignored & 1)) -eq 1 ]            # SIGHUP is 1
    [ $((ignored >> 12 & 1)) -eq 1 ]      # SIGPIPE is 13
    [ $((ignored >> 1 & 3)) -eq 0 ]       # SIGINT, SIGQUIT
    works bash -c "'$WEIR' lock lock/one grep SigIgn /proc/self/status & wait \$!"
    ignored=$((16#${output##*[[:space:]]}))
    [ $((ignored >> 1 & 3)) -eq 3 ]
    [ $((ignored >> 12 & 1)) -eq 0 ]
    mkfifo gate
    (trap '' HUP; exec "$WEIR" lock lock/one -- sh -c 'echo >held; read -r over <gate') 3>&- &
    locked_pid=$!
    until [ -e held ]; do read -rt 0.01 <> <(:) || true; done
    kill -HUP "$locked_pid"
    echo over >gate
    ends_with 0 "$locked_pid"
}

@test "the status is COMMAND's also where SIGCHLD is ignored, and it stays so for COMMAND" {
    env --ignore-signal=CHLD true 2>/dev/null || skip "env(1) ignores no signals"
    run --separate-stderr env --ignore-signal=CHLD "$WEIR" lock lock/one -- sh -c 'exit 7'
    [ "$status" -eq 7 ] && [ -z "$stderr" ]
    run env --ignore-signal=CHLD "$WEIR" lock lock/one -- sh -c 'kill -KILL "$$"'
    [ "$status" -eq 137 ]
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'echo "$WEIR_OWNER_DIED"'
    [ "$output" = 1 ]
    works env --ignore-signal=CHLD "$WEIR" lock lock/one grep SigIgn /proc/self/status
    [ $((16#${output##*[[:space:]]} >> 16 & 1)) -eq 1 ] # SIGCHLD is 17
}

@test "data of another program, by key, is not taken for a mutex" {
    local key=0x7bb7
    works "$WEIR" create "key:$key" --size 4K
    printf 'my own data' | "$WEIR" write "key:$key"
    refused 1 "something else is in it" "$WEIR" lock "key:$key" -- true
    refused 1 "something else is in it" "$WEIR" lock "key:$key"
    refused 1 "something else is in it" "$WEIR" sem "key:$key" post
    [ "$("$WEIR" read -l 11 "key:$key")" = "my own data" ]
    works "$WEIR" rm "key:$key"
    works "$WEIR" set "key:$key" hello
    refused 1 "something else is in it" "$WEIR" lock "key:$key" -- true
    [ "$("$WEIR" get "key:$key")" = hello ]
    works "$WEIR" rm "key:$key"
}

@test "zeros of another size, by key, are somebody else's" {
    local key=0x7bb7 size
    for size in 39 41 103 105 4096; do
        works "$WEIR" create "key:$key" --size "$size"
        refused 1 "has $size bytes, and" "$WEIR" lock "key:$key" -- true
        refused 1 "has $size bytes, and" "$WEIR" sem "key:$key" post
        "$WEIR" read "key:$key" | cmp - <(head -c "$size" /dev/zero)
        works "$WEIR" rm "key:$key"
    done
}

# holding TEXT BYTES: a segment of so many bytes with that in it, by $key; and what it holds.
holding() {
    works "$WEIR" create "key:$key" --size "$2"
    printf '%b' "$1" | "$WEIR" write "key:$key"
    "$WEIR" read -l "$2" "key:$key" >before
}

# untouched COMMAND...: refused, and what is there is what it was.
untouched() {
    refused 1 "key:$key: something else is in it: .*; take a NAME" "$@"
    "$WEIR" read -l "$(stat -c %s before)" "key:$key" | cmp - before
}

@test "data of another program of the very size is not taken for a mutex" {
    local key=0x7bb7 data
    for data in 'forty bytes of somebody else, to the end' '\001' '\0\0\0\0\0\0\0\0\007' \
        '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\001'; do
        holding "$data" 40
        untouched "$WEIR" lock "key:$key" -- true
        untouched "$WEIR" lock --try "key:$key" -- true
        untouched "$WEIR" lock "key:$key"
        works "$WEIR" rm "key:$key"
    done
    # Zeros are a new one; and one that is used or was left by a killed holder is one.
    holding '' 40
    works "$WEIR" lock "key:$key"
    [ "$output" = free ]
    works "$WEIR" lock "key:$key" -- "$WEIR" lock "key:$key"
    [[ "$output" == "held by process "* ]]
    run -137 "$WEIR" lock "key:$key" -- sh -c 'kill -KILL $$'
    works "$WEIR" lock -q "key:$key" -- sh -c 'echo "$WEIR_OWNER_DIED"'
    [ "$output" = 1 ]
    works "$WEIR" rm "key:$key"
    # In POSIX memory the same.
    head -c 40 /dev/zero | tr '\0' x >/dev/shm/weir-test-$$
    refused 1 "something else is in it" "$WEIR" lock "posix:/weir-test-$$" -- true
    head -c 40 /dev/zero | tr '\0' x | cmp - /dev/shm/weir-test-$$
    rm /dev/shm/weir-test-$$
}

@test "data of another program of the very size is not taken for a semaphore" {
    local key=0x7bb7 data
    for data in "$(printf 'x%.0s' {1..104})" '\005' '\0\0\0\0\001' '\0\0\0\0\0\0\0\0\0\0\0\0\001' \
        '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\010'; do
        holding "$data" 104
        untouched "$WEIR" sem "key:$key" post
        untouched "$WEIR" sem --try "key:$key" wait
        untouched "$WEIR" sem "key:$key"
        works "$WEIR" rm "key:$key"
    done
    holding '' 104
    works "$WEIR" sem --initial 3 "key:$key" post
    works "$WEIR" sem "key:$key" wait 2
    works "$WEIR" sem "key:$key"
    [ "$output" = 2 ]
    works "$WEIR" rm "key:$key"
}

@test "a mutex that was written over is told, and not locked" {
    works "$WEIR" lock lock/one -- true
    printf nonsense | "$WEIR" write --offset 4096 "id:$(field lock/one ID)" # behind the header
    refused 1 "'lock/one' is damaged: .*'weir rm' removes it" "$WEIR" lock lock/one -- true
    works "$WEIR" rm lock/one
    works "$WEIR" lock lock/one -- true
}

@test "who holds it is shown to who may only read it" {
    nobody_can
    works "$WEIR" lock --mode 0644 key:0x7bb6 -- true
    works as_nobody lock --any-owner key:0x7bb6
    [ "$output" = free ]
    refused 1 "may not|ermission" as_nobody lock --any-owner key:0x7bb6 -- true
    works "$WEIR" rm key:0x7bb6
}

@test "one at a time: forty that count in a file lose none" {
    echo 0 >count
    for _ in {1..8}; do
        (for _ in {1..5}; do
            "$WEIR" lock lock/one -- sh -c 'read -r n <count; echo $((n + 1)) >count'
        done) 3>&- &
    done
    wait
    [ "$(cat count)" -eq 40 ]
}

@test "who holds it is shown; --try and --wait give up, with the status that is asked for" {
    locked lock/one
    works "$WEIR" lock lock/one
    [ "$output" = "held by process $locked_pid" ]
    refused 1 "lock/one.*somebody else holds" "$WEIR" lock --try lock/one -- echo no
    refused 1 "until the deadline" "$WEIR" lock --wait 0.05 lock/one -- echo no
    refused 9 "until the deadline" "$WEIR" lock -w 0.05 -E 9 lock/one -- echo no
    run --separate-stderr "$WEIR" lock -nq lock/one -- echo no
    [ "$status" -eq 1 ] && [ -z "$output$stderr" ]
    kill -TERM "$locked_pid" # is handed on to the command
    ends_with 143 "$locked_pid"
    works "$WEIR" lock lock/one
    [ "$output" = free ]
}

@test "a killed holder: its command ends with it, and the next one is told once" {
    locked lock/one
    local command
    command=$(pgrep -P "$locked_pid")
    kill -KILL "$locked_pid"
    wait "$locked_pid" || true
    until ! kill -0 "$command" 2>/dev/null; do read -rt 0.01 <> <(:) || true; done
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'echo "$WEIR_OWNER_DIED"'
    [ "$status" -eq 0 ]
    [ "$output" = 1 ]
    [[ "$stderr" =~ former\ holder\ died ]]
    WEIR_OWNER_DIED=0 works "$WEIR" lock lock/one -- sh -c 'echo "${WEIR_OWNER_DIED-unset}"'
    [ "$output" = unset ]
}

@test "of a death who cannot run his command takes no news" {
    run "$WEIR" lock lock/one -- sh -c 'kill -KILL "$$"'
    [ "$status" -eq 137 ]
    run -127 "$WEIR" lock -q lock/one -- "$BATS_TEST_TMPDIR/none"
    run -126 "$WEIR" lock -q lock/one -- "$BATS_TEST_TMPDIR"
    # Nor who cannot say so, or was ended before he was through.
    run bash -c 'exec 2> >(:); wait $!; "$WEIR" lock -q lock/one -- ./none'
    run "$WEIR" lock -q lock/one -- sh -c 'kill -TERM "$$"'
    [ "$status" -eq 143 ]
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'echo "$WEIR_OWNER_DIED"; exit 127'
    [ "$status" -eq 127 ]
    [ "$output" = 1 ]
    [[ "$stderr" =~ former\ holder\ died ]]
    works "$WEIR" lock lock/one -- sh -c 'echo "${WEIR_OWNER_DIED-unset}"'
    [ "$output" = unset ]
}

@test "a command that is killed is a holder that was killed" {
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'kill -KILL "$$"'
    [ "$status" -eq 137 ]
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'echo "$WEIR_OWNER_DIED"'
    [ "$status" -eq 0 ]
    [ "$output" = 1 ]
    [[ "$stderr" =~ former\ holder\ died ]]
    # One that fails by itself has come to its end.
    run "$WEIR" lock lock/one -- sh -c 'exit 137'
    [ "$status" -eq 137 ]
    works "$WEIR" lock lock/one -- sh -c 'echo "${WEIR_OWNER_DIED-unset}"'
    [ "$output" = unset ]
}

@test "a command that was asked to end has not died, whatever asked it" {
    local name
    ulimit -c 0 # of SIGQUIT
    for name in TERM INT HUP QUIT PIPE; do
        run "$WEIR" lock lock/one -- sh -c "trap - $name; kill -$name \$\$"
        [ "$status" -eq $((128 + $(kill -l "$name"))) ]
        works "$WEIR" lock lock/one -- sh -c 'echo "${WEIR_OWNER_DIED-unset}"'
        [ "$output" = unset ]
    done
    for name in ABRT SEGV USR1; do
        run "$WEIR" lock lock/one -- sh -c "kill -$name \$\$"
        [ "$status" -eq $((128 + $(kill -l "$name"))) ]
        works "$WEIR" lock -q lock/one -- sh -c 'echo "${WEIR_OWNER_DIED-unset}"'
        [ "$output" = 1 ]
    done
}

# is_over PID: it runs no more; who has no parent that waits stays a zombie.
is_over() {
    local line
    line=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    [[ "${line##*) }" == [ZX]* ]]
}

@test "what a terminal sends is COMMAND's; what else ends the holder kills COMMAND" {
    local number command
    locked lock/one
    command=$(pgrep -P "$locked_pid")
    kill -INT "$locked_pid"
    kill -QUIT "$locked_pid"
    works "$WEIR" lock lock/one
    [ "$output" = "held by process $locked_pid" ]
    kill -TERM "$command" # asked to end, and nobody died
    ends_with 143 "$locked_pid"
    works "$WEIR" lock lock/one -- true
    for number in HUP USR1; do
        rm held
        locked lock/one
        command=$(pgrep -P "$locked_pid")
        kill -s "$number" "$locked_pid"
        ends_with $((128 + $(kill -l "$number"))) "$locked_pid"
        until is_over "$command"; do read -rt 0.01 <> <(:) || true; done
    done
    run --separate-stderr "$WEIR" lock lock/one -- sh -c 'echo "$WEIR_OWNER_DIED"'
    [ "$output" = 1 ] # of SIGUSR1
}

@test "a stopped holder is waited for" {
    locked lock/one
    kill -STOP "$locked_pid"
    refused 1 "until the deadline" "$WEIR" lock -w 0.6 lock/one -- true
    kill -CONT "$locked_pid"
    kill -TERM "$locked_pid"
    ends_with 143 "$locked_pid"
}

@test "one that waits gets it when the holder is killed" {
    locked lock/one
    "$WEIR" lock --wait 30 lock/one -- sh -c 'echo got' >next 2>said 3>&- &
    local waiter=$!
    kill -KILL "$locked_pid"
    wait "$waiter"
    [ "$(cat next)" = got ]
    grep -q "former holder died" said
}

@test "one that is held is removed by --force alone" {
    locked lock/one
    refused 1 "'lock/one' is held by process $locked_pid: --force removes it all the same" \
        "$WEIR" rm lock/one
    works "$WEIR" lock lock/one
    [ "$output" = "held by process $locked_pid" ]
    works "$WEIR" rm --force lock/one
    refused 1 'no mutex' "$WEIR" lock lock/one
    kill -TERM "$locked_pid"
    ends_with 143 "$locked_pid"
    # Free, or its holder dead: as any other object.
    "$WEIR" lock lock/one -- true
    works "$WEIR" rm lock/one
    rm held
    locked lock/one
    kill -KILL "$locked_pid"
    ends_with 137 "$locked_pid"
    works "$WEIR" rm lock/one
}

@test "a wrong call is refused" {
    refused 2 "which mutex" "$WEIR" lock
    refused 2 "which command" "$WEIR" lock lock/one --
    refused 2 "which command.*are for one" "$WEIR" lock --try lock/one
    refused 2 "which command.*are for one" "$WEIR" lock -E 3 lock/one
    refused 2 "seconds are wanted" "$WEIR" lock --wait soon lock/one -- true
    refused 2 "seconds are wanted" "$WEIR" lock --wait -1 lock/one -- true
    refused 2 "seconds are wanted" "$WEIR" lock --wait 0x1p-1 lock/one -- true
    refused 2 "seconds are wanted" "$WEIR" recv --wait ' 1' lock/one
    refused 2 "conflict-exit-code" "$WEIR" lock -E 256 lock/one -- true
    refused 2 "id:1.* is no name" "$WEIR" lock id:1 -- true
    refused 1 "there is no mutex under name .*'weir lock' with a command makes it" \
        "$WEIR" lock lock/two
    "$WEIR" create lock/two --size 100
    refused 1 "lock/two" "$WEIR" lock lock/two -- true
}

@test "--mode is that of a new one" {
    works "$WEIR" lock --mode 0660 lock/one -- true
    [ "$(field lock/one MODE)" = 0660 ]
}

@test "a mutex may lie in a POSIX segment" {
    works "$WEIR" lock "posix:/weir-test-$$" -- sh -c 'echo inside'
    [ "$output" = inside ]
    works "$WEIR" lock "posix:/weir-test-$$"
    [[ "$output" == *free* ]]
    works "$WEIR" rm "posix:/weir-test-$$"
}

@test "what another user made is taken with --any-owner alone" {
    nobody_can
    works as_nobody lock --mode 0666 key:0x7bb6 -- true
    local cure='uid 65534.*: say --any-owner, if you trust uid 65534$'
    refused 1 "$cure" "$WEIR" lock key:0x7bb6 -- true
    refused 1 "$cure" "$WEIR" lock key:0x7bb6
    works "$WEIR" lock --any-owner key:0x7bb6 -- true
    works "$WEIR" lock --any-owner key:0x7bb6
    as_nobody rm key:0x7bb6
}
