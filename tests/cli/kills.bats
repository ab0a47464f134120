# SPDX-License-Identifier: MIT
# Goal: 1,000 SIGKILLs at random instants of demo, send and recv leave nothing behind once the
#       next weir command has run.
# Method: kill_command kills each of them, alone and in pairs that move data at that moment: the
#         process, a child, or all at once. Then one 'weir list', and the kernel's own tables and
#         the run directory are as before. Segments have less grace: one a process, for those killed
#         in the instant of a creation, and nobody attached to it.

load common.bash

setup() {
    alone
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    remove_all
}

# killed COUNT SEED MAX_US COMMAND...: enough of them were met alive for it to be a test.
killed() {
    local met
    met=$("$WEIR_BUILD/tests/kill_command" "$@")
    echo "$met of $1 were met alive"
    [ "$met" -ge $(($1 / 4)) ]
}

# Most of the time those who are left alone wait until they give up: in four channels at once.
# killed_at_once COUNT SEED MAX_US SCRIPT: of COUNT a quarter in each; the script's $0 is the channel.
killed_at_once() {
    local i
    for i in 0 1 2 3; do
        killed $(($1 / 4)) $(($2 + i)) "$3" sh -c "$4" "kill/$i" &
    done
    for i in $(jobs -p); do
        wait "$i"
    done
}

nothing_after_next_command() {
    tail -n +2 /proc/sysvipc/shm
    [ "$(awk 'NR > 1 && $7 > 0' /proc/sysvipc/shm)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/shm | wc -l)" -le 2 ]
    "$WEIR" list -q
    [ "$(tail -n +2 /proc/sysvipc/shm)" = "" ]
    tail -n +2 /proc/sysvipc/sem
    [ "$(tail -n +2 /proc/sysvipc/sem)" = "" ]
    find /dev/shm -mindepth 3
    [ "$(find /dev/shm -mindepth 3)" = "" ]
    [ "$(find /dev/shm -mindepth 1 ! -type d)" = "" ]
}

@test "300 SIGKILLs of demo" {
    killed 300 11 2500 "$WEIR" demo
    nothing_after_next_command
}

@test "150 SIGKILLs of a sender that is alone" {
    killed 150 12 4000 "$WEIR" send --wait 0.05 kill/alone /dev/zero
    nothing_after_next_command
}

@test "150 SIGKILLs of a receiver that is alone" {
    killed 150 13 4000 "$WEIR" recv --wait 0.05 kill/alone
    nothing_after_next_command
}

@test "400 SIGKILLs of a pair while it moves data" {
    truncate -s 64M zeros # an end of its own, for the rounds in which nobody was met
    # The shell becomes the second of the two, with the first as its child. Who is left alone
    # before they have met gives up after --wait.
    killed_at_once 200 14 8000 "'$WEIR' recv --wait 0.1 \$0 & exec '$WEIR' send --wait 0.1 \$0 zeros"
    nothing_after_next_command
    killed_at_once 200 18 8000 "'$WEIR' send --wait 0.1 \$0 zeros & exec '$WEIR' recv --wait 0.1 \$0"
    nothing_after_next_command
}
