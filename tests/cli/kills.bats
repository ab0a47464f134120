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
    killed 200 14 8000 sh -c "'$WEIR' recv --wait 0.1 kill/pair & exec '$WEIR' send --wait 0.1 kill/pair zeros"
    nothing_after_next_command
    killed 200 15 8000 sh -c "'$WEIR' send --wait 0.1 kill/pair zeros & exec '$WEIR' recv --wait 0.1 kill/pair"
    nothing_after_next_command
}
