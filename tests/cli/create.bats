#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir create: what it makes, and when it refuses.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    "$WEIR" rm -qf make/one make/two key:0x6bb5
    [ -z "${nobody_folder:-}" ] || rm -r "$nobody_folder"
}

@test "a segment is made silently, is empty and stays" {
    works "$WEIR" create make/one --size 5000
    [ -z "$output" ]
    [ "$("$WEIR" info --noheadings -bo LIFETIME,NATTCH,MODE,STATE,OWNER make/one | tr '\n' ' ')" = \
        "persistent 0 0600 idle $(id -un) " ]
    "$WEIR" read make/one | cmp - <(head -c 5000 /dev/zero)
}

@test "-v says what was made" {
    works "$WEIR" create make/one --size 5000 -v --mode 640
    [[ "$output" =~ ^make/one:\ id\ [0-9]+,\ key\ 0x[0-9a-f]{8},\ 5000\ bytes,\ mode\ 0640$ ]]
    works "$WEIR" create key:0x6bb5 --size 7 --verbose --persist
    [[ "$output" =~ ^key:0x6bb5:\ id\ [0-9]+,\ key\ 0x00006bb5,\ 7\ bytes,\ mode\ 0600$ ]]
}

@test "modes are as said, whatever the umask" {
    umask 0777
    for mode in 0600 0640 0644 0660 0666 0440 400; do
        works "$WEIR" create key:0x6bb5 --size 1 --mode "$mode"
        [ $((8#$(field key:0x6bb5 MODE))) -eq $((8#$mode)) ]
        "$WEIR" rm key:0x6bb5
    done
}

@test "what exists is a failure that says who has it, and stays as it was" {
    "$WEIR" create make/one --size 100
    "$WEIR" create key:0x6bb5 --size 100
    printf 'kept' | "$WEIR" write make/one
    refused 1 "make/one" "$WEIR" create make/one --size 100
    refused 1 "make/one" "$WEIR" create make/one --size 200
    refused 1 "0x0*6bb5|0x6bb5" "$WEIR" create key:0x6bb5 --size 100
    [ "$("$WEIR" read make/one -l 4)" = kept ]
}

@test "of many that make one name at once, one wins" {
    local pids=() wins=0 pid
    for _ in {1..8}; do
        "$WEIR" create make/two --size 100 2>/dev/null &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        if wait "$pid"; then
            wins=$((wins + 1))
        fi
    done
    [ "$wins" -eq 1 ]
    [ "$("$WEIR" list --noheadings -rwo NAME | grep -c '^make/two$')" -eq 1 ]
}

@test "identifiers are not for creation" {
    refused 2 'kernel chooses identifiers' "$WEIR" create id:5 --size 1
    refused 2 'kernel chooses identifiers' "$WEIR" create sem:5 --size 1
    refused 2 'how large' "$WEIR" create make/one
}

@test "a size without its option is told the option" {
    refused 2 "'4K' is too much: a size is --size=4K" "$WEIR" create make/one 4K
    refused 2 "'4K' is too much: one object a call" "$WEIR" create --size 4K make/one 4K
    refused 2 "'make/two' is too much: one object a call" "$WEIR" create make/one make/two
}

@test "a key that is taken is told once" {
    "$WEIR" create key:0x6bb5 --size 1
    refused 1 '^weir create: key 0x00006bb5 is taken by segment' "$WEIR" create key:0x6bb5 --size 1
    "$WEIR" rm key:0x6bb5
    touch keyed
    "$WEIR" create ftok:keyed:65 --size 1
    refused 1 'ftok\(keyed, 65\) \(key 0x41[0-9a-f]{6}\) is taken by segment' \
        "$WEIR" create ftok:keyed:65 --size 1
    "$WEIR" rm ftok:keyed:65
}

@test "a group is given by number or name" {
    [ "$(id -u)" -eq 0 ] || skip "only root may give to any group"
    nobody_can # the same for groups: a user namespace may have one alone
    works "$WEIR" create make/one --size 1 --mode 0660 --gid "$(getent group daemon | cut -d: -f3)"
    [ "$(field make/one GROUP)" = daemon ]
    "$WEIR" rm make/one
    works "$WEIR" create make/one --size 1 -g daemon
    [ "$(field make/one GROUP)" = daemon ]
    refused 2 'no such group' "$WEIR" create make/two --size 1 -g no-such-group
    refused 2 'no such group' "$WEIR" create make/two --size 1 -g -1
    refused 2 'no such group' "$WEIR" create make/two --size 1 -g 4294967295
}

@test "huge pages fall back with a remark" {
    run --separate-stderr "$WEIR" create make/one --size 2M --huge
    [ "$status" -eq 0 ]
    [ -z "$stderr" ] || [[ "$stderr" == *'normal pages'*'weir doctor'* ]]
    "$WEIR" read make/one | cmp - <(head -c 2M /dev/zero)
    "$WEIR" rm make/one
    works "$WEIR" create make/one --size 2M --huge -q
}

@test "the limit of segments is met with its value and a cure" {
    alone
    echo 2 2>/dev/null >/proc/sys/kernel/shmmni || skip "limits cannot be set here"
    "$WEIR" create make/one --size 1
    "$WEIR" create make/two --size 1
    refused 1 '2.*shmmni' "$WEIR" create key:0x6bb5 --size 1
    refused 1 '2.*shmmni' "$WEIR" create make/three --size 1
    run "$WEIR" doctor -q
    [ "$status" -eq 1 ]
    [[ "$output" == *problem*SHMMNI*'all 2 segments are in use'*'sysctl -w kernel.shmmni=4'* ]]
    echo 4096 >/proc/sys/kernel/shmmni
    refused 1 "make/three" "$WEIR" info make/three
}

@test "a run directory that cannot be used is a failure that names it" {
    for directory in relative '' /no/such/parent/dir /dev/null; do
        WEIR_DIR=$directory refused 1 'WEIR_DIR|run directory' "$WEIR" create make/one --size 1
    done
    mkdir sticky
    chmod 1777 sticky
    WEIR_DIR=$PWD/sticky refused 1 'sticky' "$WEIR" create make/one --size 1
    WEIR_DIR=$PWD/own works "$WEIR" create make/one --size 1
    [ -d own ]
    refused 1 'make/one' "$WEIR" info make/one
    WEIR_DIR=$PWD/own works "$WEIR" rm make/one
}

@test "what root made in a user's run directory is told as root's" {
    nobody_can
    mkdir -m 700 "$nobody_folder/own" "$nobody_folder/roots"
    chown 65534 "$nobody_folder/own"
    export WEIR_DIR=$nobody_folder/own
    as_nobody create make/two --size 1
    "$WEIR" create make/one --size 1
    refused 1 "make,one is uid 0's alone: take another name, or let that user" \
        as_nobody create make/one --size 1
    works "$WEIR" rm make/one make/two
    WEIR_DIR=$nobody_folder/roots refused 1 \
        'Permission denied: set WEIR_DIR to a directory that you may' as_nobody create make/one --size 1
}

@test "root's look into a user's run directory does not lock the user out" {
    nobody_can
    alone
    works env WEIR_DIR=/dev/shm/weir-65534 "$WEIR" create make/one --size 1
    works env WEIR_DIR=/dev/shm/weir-65534 "$WEIR" rm make/one
    works as_nobody create make/one --size 1
    works as_nobody rm make/one
    # One that an earlier weir left is told as what it is.
    mkdir -m 0700 /dev/shm/weir-65534
    refused 1 "/dev/shm/weir-65534 belongs to uid 0 instead of you.*: sudo rm -r '/dev/shm/weir-65534'" \
        as_nobody create make/one --size 1
    rmdir /dev/shm/weir-65534
}

@test "a name of another user, or of another WEIR_DIR: where it is, and else not a word more" {
    nobody_can
    alone
    local none="there is no segment under name 'make/one'" share="names are each user's own: to share"
    refused 1 "$none: create it first, or look for it with 'weir list'$" "$WEIR" read make/one
    as_nobody create make/one --size 1
    # Who may see it is told where it is.
    refused 1 "$none in /dev/shm/weir-0, but uid 65534 has that name: set WEIR_DIR=/dev/shm/weir-65534$" \
        "$WEIR" read make/one
    refused 1 "named 'make/one' in /dev/shm/weir-0, but uid 65534 has that name: set WEIR_DIR=" \
        "$WEIR" info make/one
    refused 1 "named 'make/two': 'weir list' shows what there is$" "$WEIR" info make/two
    WEIR_DIR=/dev/shm/weir-65534 works "$WEIR" info make/one
    as_nobody rm make/one
    # Who may not, that there may be one.
    "$WEIR" create make/one --size 1
    refused 1 "$none: create it first, .*'weir list'; $share" as_nobody read make/one
    refused 1 "'weir list' shows what there is; $share" as_nobody info make/one
    WEIR_DIR=$nobody_folder/counts refused 1 "'weir list'$" as_nobody read make/one
    # A name of one's own, and a WEIR_DIR in the way.
    WEIR_DIR=$PWD/run refused 1 "$none in $PWD/run, but in /dev/shm/weir-0: unset WEIR_DIR$" \
        "$WEIR" read make/one
    "$WEIR" rm make/one
    # What a third user says of another is not believed.
    as_nobody create make/one --size 1
    mv /dev/shm/weir-65534 /dev/shm/weir-65533
    refused 1 "$none: create it first, or look for it with 'weir list'$" "$WEIR" read make/one
    mv /dev/shm/weir-65533 /dev/shm/weir-65534
    as_nobody rm make/one
}

@test "a name of another namespace is told of, and one that an earlier boot has left is not" {
    local boot
    boot=$(cat /proc/sys/kernel/random/boot_id)
    export WEIR_DIR=$PWD/run
    mkdir -p "run/ipc-17-${boot//[0-9a-f]/0}/make,one"
    refused 1 "named 'make/one': 'weir list' shows what there is" "$WEIR" info make/one
    mkdir -p "run/ipc-17-$boot/make,one"
    refused 1 "named 'make/one' in this IPC namespace, but one in the namespace 17$" \
        "$WEIR" info make/one
}

@test "another user's run directory is refused" {
    nobody_can
    alone
    mkdir /dev/shm/weir-65534
    refused 1 'belongs to uid 0' as_nobody create make/one --size 1
    run as_nobody doctor -q
    [ "$status" -eq 1 ]
    [[ "$output" == *'problem'*'/dev/shm/weir-65534 belongs to user 0'*"sudo rm -r '/dev/shm/weir-65534'"* ]]
    rmdir /dev/shm/weir-65534
    # The one in it, of this namespace, too; an empty one is what a kill left.
    local inside
    inside=/dev/shm/weir-65534/ipc-$(stat -Lc %i /proc/self/ns/ipc)-$(cat /proc/sys/kernel/random/boot_id)
    mkdir -m 0700 -p "$inside/made,one"
    chown 65534 /dev/shm/weir-65534
    chmod 0700 /dev/shm/weir-65534 "$inside"
    run as_nobody doctor -q
    [ "$status" -eq 1 ]
    [[ "$output" == *'problem'*"$inside belongs to uid 0 instead of you"*"sudo rm -r '$inside'"* ]]
    refused 1 "$inside belongs to uid 0 instead of you" as_nobody create make/one --size 1
    rmdir "$inside/made,one"
    works as_nobody create make/one --size 1
    works as_nobody rm make/one
}

@test "200 SIGKILLs of create and rm: whole or not at all, after the next command" {
    alone
    local met names
    met=$("$WEIR_BUILD/tests/kill_command" 200 5 5000 \
        sh -c "'$WEIR' create make/one --size 100K --huge; '$WEIR' rm make/one; exit 0")
    [ "$met" -ge 50 ]
    names=$("$WEIR" list --noheadings -qmwro NAME)
    [ -z "$names" ] || [ "$names" = make/one ]
    # No segment but the named one, which can be used; nothing else in the run directory.
    [ "$(tail -n +2 /proc/sysvipc/shm | wc -l)" -eq "$(grep -c . <<<"$names")" ]
    [ -z "$names" ] || [ "$("$WEIR" read make/one | wc -c)" -eq 102400 ]
    "$WEIR" rm -f make/one
    "$WEIR" list -q
    [ -z "$(find /dev/shm -mindepth 1 ! -type d)" ]
    [ -z "$(find /dev/shm -mindepth 3)" ]
}
