#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir info: all about one object, who has it mapped, and its semaphores.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf info/test
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

@test "every field of a segment stands on a line of its own" {
    "$WEIR" create info/test --size 5000
    works "$WEIR" info info/test
    # Those that apply: the maker is dead, and a segment has no semaphores.
    [ "$(sed 's/:.*//' <<<"$output")" = \
        "$("$WEIR" list --help | sed -n '/^Columns:/,/^$/s/^  \([A-Z]*\) .*/\1/p' |
            grep -vxE 'NSEMS|WAITING|COMMAND|LCOMMAND')" ]
    [[ "$output" == *$'\nSTATE:    idle'* ]]
    works "$WEIR" info --noheadings -o NAME,MODE info/test
    [ "$output" = $'info/test\n0600' ]
    [ "$("$WEIR" info -J info/test | jq -c '[.object.name, .object.size, .mappings]')" = \
        '["info/test",5000,[]]' ]
    [ "$(field info/test SEGSZ)" = 9096 ] # and weir's header
    [ "$("$WEIR" info -J -o name,size info/test | jq -c .)" = \
        '{"object":{"name":"info/test","size":5000}}' ]
}

@test "a bare number is a name; where nobody has it, its other readings are told" {
    local both='by their numbers a segment is id:42, a semaphore set sem:42$'
    refused 1 "no object named '42': 'weir list' shows what there is; $both" "$WEIR" info 42
    refused 1 "$both" "$WEIR" read 42
    refused 1 "$both" "$WEIR" write 42 </dev/null
    refused 1 "shows what there is; a key is key:0x1234$" "$WEIR" info 0x1234
    refused 1 "shows what there is$" "$WEIR" info info/42
    "$WEIR" create 42 --size 1
    works "$WEIR" info 42
    "$WEIR" rm 42
}

@test "who has a segment mapped is shown, with pid, command and access" {
    hold info/held
    works "$WEIR" info -J info/held
    jq -e --argjson pid "$holder_pid" --argjson id "$holder_id" '
        .object.id == $id and .object.nattch == 2 and .object.state == "live" and
        .object.lifetime == "ephemeral" and .object.removed and .object.command == "hold" and
        (.mappings | length == 2 and .[0].command == "hold" and .[0].access == "read-write" and
         any(.pid == $pid) and .[0].length == 12288 and (.[0].address | startswith("0x")))' <<<"$output"
    works "$WEIR" info info/held
    grep -Eq "^PID +|^ *PID COMMAND +USER +ACCESS" <<<"$output"
    grep -Eq "^ *$holder_pid hold +$(id -un) +read-write 0x[0-9a-f]+ +12K$" <<<"$output"
    # Another segment of the same number does not exist; another's mappings are not shown.
    "$WEIR" create info/test --size 1
    [ "$("$WEIR" info -J info/test | jq '.mappings | length')" -eq 0 ]
    let_go
}

@test "a set shows each semaphore" {
    hold info/held
    local deadline=$((SECONDS + 10))
    until [ "$(field "sem:$holder_set" WAITING)" = 1 ]; do
        [ "$SECONDS" -lt "$deadline" ]
    done
    works "$WEIR" info "sem:$holder_set"
    # The name means the segment that the set lives with.
    [ "${lines[0]}" = "OBJECT:   sem:$holder_set" ]
    [ "$(field info/held OBJECT)" = info/held ]
    [[ "$output" == *$'\nNAME:     info/held'* ]]
    [[ "$output" == *$'\nSTATE:    live'* ]]
    [ "$(tail -n 3 <<<"$output" | tr -s ' ' | sed 's/^ //' | cut -d' ' -f1-4)" = \
        $'INDEX VALUE NCNT ZCNT\n0 7 0 0\n1 0 1 0' ]
    "$WEIR" info -J "sem:$holder_set" |
        jq -e '.semaphores == [{index: 0, value: 7, ncnt: 0, zcnt: 0, pid: .semaphores[0].pid,
                                command: .semaphores[0].command},
                               {index: 1, value: 0, ncnt: 1, zcnt: 0, pid: .semaphores[1].pid,
                                command: .semaphores[1].command}] and .object.nsems == 2'
    let_go
}

@test "who has a posix segment mapped is shown" {
    command -v python3 >/dev/null || skip "no python3"
    head -c 5000 /dev/zero >"/dev/shm/weir-test-$$"
    coproc mapper { exec python3 -c '
import mmap, sys
file = open(sys.argv[1], "rb")
memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("mapped", flush=True)
sys.stdin.read()' "/dev/shm/weir-test-$$"; }
    local pid=$mapper_PID
    read -r _ <&"${mapper[0]}"
    "$WEIR" info -J "posix:/weir-test-$$" >document
    exec {mapper[1]}>&-
    wait "$pid"
    rm "/dev/shm/weir-test-$$"
    jq -e --argjson pid "$pid" '.mappings | length == 1 and .[0].pid == $pid and
        .[0].access == "read-only" and .[0].length == 8192' document
}

@test "a key of both a segment and a set is ambiguous" {
    local segment set
    "$WEIR" create key:0x51f0 --size 1
    command -v python3 >/dev/null || skip "no python3"
    python3 -c 'import ctypes; ctypes.CDLL(None).semget(0x51f0, 1, 0o1600)'
    segment=$(awk -v key=$((0x51f0)) '$1 == key { print $2 }' /proc/sysvipc/shm)
    set=$(awk -v key=$((0x51f0)) '$1 == key { print $2 }' /proc/sysvipc/sem)
    refused 1 "id:$segment or sem:$set" "$WEIR" info key:0x51f0
    refused 1 "id:$segment or sem:$set" "$WEIR" rm key:0x51f0
    works "$WEIR" info "id:$segment"
    works "$WEIR" rm -m key:0x51f0
    [ "$(field key:0x51f0 OBJECT)" = "sem:$set" ]
    works "$WEIR" rm key:0x51f0
    refused 1 'no segment and no semaphore set' "$WEIR" info key:0x51f0
}

@test "a name of another IPC namespace is told" {
    unshare --ipc true 2>/dev/null || skip "no namespace can be made"
    "$WEIR" create info/test --size 1
    refused 1 'namespace' unshare --ipc "$WEIR" info info/test
}

@test "another user is told what may not be looked at" {
    nobody_can
    hold info/held
    run --separate-stderr as_nobody info "id:$holder_id"
    [ "$status" -eq 0 ]
    [[ "$output" == *$'\nNATTCH:   2'* ]]
    [[ "$stderr" =~ [0-9]+\ processes\ of\ other\ users\ may\ not\ be\ looked\ at ]]
    run --separate-stderr as_nobody info "sem:$holder_set"
    [ "$status" -eq 0 ]
    [[ "$output" != *WAITING* ]]
    [[ "$stderr" == *'forbids you'* ]]
    works as_nobody info -q "sem:$holder_set"
    let_go
}
