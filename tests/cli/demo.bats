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

@test "a full disk is told of" {
    run --separate-stderr bash -c '"$WEIR" demo lifecycle --explain >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
}
