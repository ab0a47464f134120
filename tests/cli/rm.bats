#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir rm: removes whatever is named, all of it, or says what it could not.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf rm/one rm/two key:0x7bb5
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

@test "everything that is given goes, silently" {
    local segment set
    "$WEIR" create rm/one --size 1
    "$WEIR" create key:0x7bb5 --size 1
    segment=$(ipcmk -M 1 | grep -o '[0-9]*$')
    set=$(ipcmk -S 1 | grep -o '[0-9]*$')
    : >"/dev/shm/weir-test-$$"
    works "$WEIR" rm rm/one key:0x7bb5 "id:$segment" "sem:$set" "posix:/weir-test-$$"
    [ -z "$output" ]
    for object in rm/one key:0x7bb5 "id:$segment" "sem:$set" "posix:/weir-test-$$"; do
        refused 1 . "$WEIR" info "$object"
    done
}

@test "after a failure the others are removed all the same" {
    "$WEIR" create rm/one --size 1
    "$WEIR" create rm/two --size 1
    refused 1 'rm/none' "$WEIR" rm rm/one rm/none rm/two
    refused 1 'rm/one' "$WEIR" info rm/one
    refused 1 'rm/two' "$WEIR" info rm/two
}

@test "called wrongly it removes nothing" {
    "$WEIR" create rm/one --size 1
    refused 2 '..' "$WEIR" rm rm/one ../two
    refused 2 'nonsense' "$WEIR" rm rm/one --nonsense
    # One of another type than is wanted.
    refused 2 "are for key: and ftok:, and 'rm/one' is neither" "$WEIR" rm -s rm/one
    refused 2 "are for key: and ftok:" "$WEIR" rm -m "id:$(field rm/one ID)"
    works "$WEIR" info rm/one
}

@test "-f forgives what is not there, and nothing else" {
    works "$WEIR" rm -f rm/none key:0x7bb5 id:2147483647 sem:2147483647 posix:/weir-test-none
    refused 1 'directory' "$WEIR" rm -f posix:/weir-0 posix:/weir-test-none ||
        [ ! -d /dev/shm/weir-0 ]
    refused 2 . "$WEIR" rm -f ..
}

@test "a segment and a set of one key are removed by type" {
    command -v python3 >/dev/null || skip "no python3"
    "$WEIR" create key:0x7bb5 --size 1
    python3 -c 'import ctypes; ctypes.CDLL(None).semget(0x7bb5, 1, 0o1600)'
    refused 1 'both' "$WEIR" rm key:0x7bb5
    works "$WEIR" rm --semsets key:0x7bb5
    [ "$(field key:0x7bb5 TYPE)" = segment ]
    python3 -c 'import ctypes; ctypes.CDLL(None).semget(0x7bb5, 1, 0o1600)'
    works "$WEIR" rm -ms key:0x7bb5
    refused 1 'no segment and no' "$WEIR" info key:0x7bb5
    # Of both one is not there: the other one goes, and that is told.
    "$WEIR" create key:0x7bb5 --size 1
    refused 1 'no semaphore set' "$WEIR" rm -ms key:0x7bb5
    python3 -c 'import ctypes; ctypes.CDLL(None).semget(0x7bb5, 1, 0o1600)'
    refused 1 'no segment' "$WEIR" rm -ms key:0x7bb5
    refused 1 'no segment and no' "$WEIR" info key:0x7bb5
    "$WEIR" create key:0x7bb5 --size 1
    works "$WEIR" rm -fms key:0x7bb5
    refused 1 'no segment and no' "$WEIR" info key:0x7bb5
}

@test "a mutex that another user holds is kept from root, too" {
    nobody_can
    alone
    mkdir -m 0777 "$nobody_folder/work"
    cd "$nobody_folder/work"
    # Not as_nobody, whose pid would be that of a shell around it.
    setpriv --reuid 65534 --regid 65534 --clear-groups "$nobody_folder/weir" \
        lock rm/one -- sh -c 'echo >held; exec sleep 60' 3>&- &
    local holder=$!
    until [ -e held ]; do read -rt 0.01 <> <(:) || true; done
    WEIR_DIR=/dev/shm/weir-65534 refused 1 "'rm/one' is held by process $holder: --force" \
        "$WEIR" rm rm/one
    WEIR_DIR=/dev/shm/weir-65534 works "$WEIR" rm --force rm/one
    kill -TERM "$holder"
    wait "$holder" || [ $? -eq 143 ]
    cd "$BATS_TEST_TMPDIR"
}

@test "who has a removed segment keeps it, its name is free" {
    hold rm/one
    works "$WEIR" rm rm/one
    refused 1 'rm/one' "$WEIR" info rm/one
    [ "$(field "id:$holder_id" NATTCH)" = 2 ]
    works "$WEIR" create rm/one --size 1
    let_go
    refused 1 . "$WEIR" info "id:$holder_id"
    refused 1 . "$WEIR" info "sem:$holder_set"
    works "$WEIR" info rm/one
}

@test "a corrupt record is removed, the segment that is not ours stays" {
    [ -z "${WEIR_DIR:-}" ] || skip "WEIR_DIR is set"
    local id record
    "$WEIR" create rm/one --size 1
    id=$(field rm/one ID)
    record=$(echo /dev/shm/weir-"$(id -u)"/ipc-*/rm,one/*)
    echo 'not a record' >"$record"
    refused 1 'not a record' "$WEIR" info rm/one
    works "$WEIR" list -q
    works "$WEIR" rm rm/one
    refused 1 'no object' "$WEIR" info rm/one
    works "$WEIR" info "id:$id"
    works "$WEIR" rm "id:$id"
}

@test "others' objects cannot be removed" {
    nobody_can
    local set
    "$WEIR" create key:0x7bb5 --size 1 --mode 0666
    set=$(ipcmk -S 1 -p 0666 | grep -o '[0-9]*$')
    : >"/dev/shm/weir-test-$$"
    chmod 1777 /dev/shm
    refused 1 'owner|belongs' as_nobody rm key:0x7bb5
    refused 1 'owner|belongs' as_nobody rm "sem:$set"
    refused 1 'owner|belongs' as_nobody rm "posix:/weir-test-$$"
    refused 1 'owner|belongs' as_nobody rm -f key:0x7bb5
    works "$WEIR" rm key:0x7bb5 "sem:$set" "posix:/weir-test-$$"
}
