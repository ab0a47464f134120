#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir gc, and the collection that other commands do by themselves.
# Method: a process that holds a segment with semaphores is killed; its set and name are left.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    "$WEIR" create gc/kept --size 1
}

teardown() {
    "$WEIR" rm -qf gc/kept
}

# Whether the set of the killed one is in the kernel; without weir, which would collect it.
set_is_there() {
    awk -v id="$holder_set" '$2 == id { found = 1 } END { exit !found }' /proc/sysvipc/sem
}

@test "without --yes it shows and removes nothing" {
    run --separate-stderr "$WEIR" gc
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ "$stderr" = 'weir gc: nothing is left over' ]
    hold gc/dead
    works "$WEIR" gc -q # while it lives
    [ -z "$output" ]
    kill_holder
    for _ in 1 2; do
        run --separate-stderr "$WEIR" gc
        [ "$status" -eq 0 ]
        [ "$stderr" = 'weir gc: nothing is removed yet: weir gc --yes' ]
        [ "$(tr -s ' ' <<<"${lines[0]}")" = 'NAME ID SEMID KEY SIZE WHY' ]
        [[ "$(tr -s ' ' <<<"${lines[1]}")" == "gc/dead - $holder_set - - "?* ]]
        [ "${#lines[@]}" -eq 2 ]
        set_is_there
    done
    "$WEIR" gc -J | jq -e --argjson set "$holder_set" \
        '.leftovers | length == 1 and .[0].name == "gc/dead" and .[0].semid == $set'
    run --separate-stderr "$WEIR" gc --yes
    [ "$status" -eq 0 ]
    [ "$stderr" = 'weir gc: removed: 1' ]
    [[ "$output" == *gc/dead* ]]
    if set_is_there; then return 1; fi
    works "$WEIR" gc -q
    [ -z "$output" ]
    works "$WEIR" info gc/kept
}

@test "every command that touches objects collects first" {
    for command in 'list -q' 'info gc/kept' 'read gc/kept' 'write gc/kept' 'rm -f gc/none' \
        'create gc/more --size 1'; do
        hold gc/dead
        kill_holder
        set_is_there
        # shellcheck disable=SC2086 # words are wanted
        works "$WEIR" $command </dev/null
        if set_is_there; then return 1; fi
    done
    "$WEIR" rm gc/more
}

@test "doctor, and what is called wrongly, collect nothing" {
    hold gc/dead
    kill_holder
    run "$WEIR" doctor
    [[ "$output" == *'weir gc --yes'* ]]
    run "$WEIR" list --nonsense
    run "$WEIR" info ..
    run "$WEIR" list --help
    set_is_there
    works "$WEIR" gc -qy
}

@test "a json document comes also when there is nothing" {
    [ "$("$WEIR" gc -J | jq -c .)" = '{"leftovers":[]}' ]
    works "$WEIR" gc -J -y
}

@test "POSIX segments are nobody's leftovers" {
    works "$WEIR" create "posix:/weir-test-$$" --size 10
    : >"/dev/shm/weir-test-$$-theirs"
    run --separate-stderr "$WEIR" gc --yes
    [ "$status" -eq 0 ]
    [ "$stderr" = 'weir gc: nothing is left over' ]
    [ -e "/dev/shm/weir-test-$$" ]
    [ -e "/dev/shm/weir-test-$$-theirs" ]
    works "$WEIR" rm "posix:/weir-test-$$" "posix:/weir-test-$$-theirs"
}
