#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir demo: what it prints, what its scenes report, and that nothing is left.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# What every scene must do, in each of its forms.
check_scene() {
    run --separate-stderr "$WEIR" demo "$1"
    [ "$status" -eq 0 ]
    [ -n "$output" ]
    [ -z "$stderr" ]
    run --separate-stderr "$WEIR" demo "$1" --explain
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ "$output" == *"What weir does instead"* ]]
    [[ "$output" != *$'\033'* ]]
    "$WEIR" demo "$1" --json --seed 7 >document
    jq -e --arg scene "$1" '.scene == $scene and .seed == 7 and .skipped == null and
                            (.facts | type) == "object"' document
}

@test "--list names each scene once, with a summary" {
    run --separate-stderr "$WEIR" demo --list
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [ "${#lines[@]}" -ge 1 ]
    [ "$(cut -d' ' -f1 <<<"$output" | sort | uniq -d)" = "" ]
    for line in "${lines[@]}"; do
        [[ "$line" =~ ^[a-z-]+\ +[a-zA-Z] ]]
    done
}

@test "called wrongly: exit 2, nothing on stdout" {
    for arguments in "nonsense" "lifecycle rmid" "lifecycle --json --explain" "lifecycle --seed x" \
        "lifecycle --seed -1" "lifecycle --nonsense" "--explain"; do
        run --separate-stderr "$WEIR" demo $arguments
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [ -n "$stderr" ]
    done
}

@test "--help" {
    run --separate-stderr "$WEIR" demo --help
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    [[ "$output" == "Usage: weir demo"* ]]
}

@test "--step without a terminal says so and goes on" {
    run --separate-stderr "$WEIR" demo lifecycle --step </dev/null
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"going on without"* ]]
    [[ "$output" == *"shm_nattch"* ]]
}

@test "scene lifecycle: the counts of the kernel" {
    check_scene lifecycle
    run "$WEIR" demo lifecycle
    [ "$(grep -o 'attached [0-9]' <<<"$output" | cut -d' ' -f2 | tr '\n' ' ')" = "0 1 2 4 2 1 0 " ]
}

@test "scene rmid: usable after the removal, freed at the last detach" {
    check_scene rmid
    jq -e '.facts.usable_after_removal and .facts.freed_at_last_detach and
           (.facts.found_by_key_after_removal | not)' document
    run "$WEIR" demo rmid --explain
    [[ "$output" == *"0600 -> 0600 DEST *"* ]]
    [[ "$output" == *"struct shmid_ds is gone"* ]]
}

@test "scene crash: SEM_UNDO frees the lock and not the data" {
    check_scene crash
    jq -e '.facts == {without_undo_value: 0, without_undo_next_gets_it: false,
                      without_undo_data_half_written: true, with_undo_value: 1,
                      with_undo_next_gets_it: true, with_undo_data_half_written: true}' document
}

@test "a full disk is told of" {
    run --separate-stderr bash -c '"$WEIR" demo lifecycle --explain >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
}

@test "a closed pipe is told of" {
    run --separate-stderr bash -c 'set -o pipefail; "$WEIR" demo lifecycle --explain | head -n 1'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"Broken pipe"* ]]
}
