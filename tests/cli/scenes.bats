#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The scenes race, torn, init-race, mutex-death, condition, latest, ftok, pointer and sigbus: what
# they show is checked by its numbers, in each place where they may be run.

bats_require_minimum_version 1.5.0

load demo_functions

scenes="race torn init-race mutex-death condition latest ftok pointer sigbus"

# What must hold of a scene's facts wherever it could be shown; reads the document.
check_facts() {
    case $1 in
    race)
        jq -e '.facts | .expected == .processes * .rounds
               and .lost_without > 0 and .got_without + .lost_without == .expected
               and .lost_with == 0 and .got_with == .expected
               and .lost_weir == 0 and .got_weir == .expected' document
        ;;
    torn)
        jq -e '.facts | .torn_without > 0 and .torn_without <= .reads_without
               and .torn_with == 0 and .reads_with >= 10000
               and .torn_weir == 0 and .reads_weir >= 10000' document
        ;;
    init-race)
        jq -e '.facts | .post_got == .post_expected - 1
               and .waiting_for_dead_creator == 1 and .dead_creator_sem_otime == 0
               and .ready_early == false and .ready_late and .ready_after_death == false' document
        ;;
    mutex-death)
        jq -e '.facts | .plain_lock == "ETIMEDOUT" and .plain_waiting == 2 and .plain_half_written
               and .robust_lock == "EOWNERDEAD" and .robust_half_written
               and .weir_owner_died and .weir_half_written and .weir_repaired and .weir_after_repair == 0
               and .weir_told_after_ms >= 0 and .weir_told_after_ms < 5000
               and .weir_not_repaired == "ENOTRECOVERABLE"
               and .weir_not_repaired_stranger == "ENOTRECOVERABLE"' document
        ;;
    condition)
        jq -e '.facts | .lost_wait == "ETIMEDOUT" and .lost_woken == 0 and .lost_full
               and .prepared_wait == "EAGAIN" and .prepared_woken == 0 and .prepared_full
               and .killed_wait == "ETIMEDOUT" and .killed_full
               and .event_full and .event_slept_ms < .event_killed_slept_ms
               and .event_killed_full and .event_killed_slept_ms < 5000
               and .condition_owner_died and .condition_full and .condition_killed_ms < 5000' document
        ;;
    latest)
        jq -e '.facts | .sequence_reads >= 9000 and .sequence_tries >= .sequence_reads
               and .sequence_torn == 0 and .sequence_killed_read == false
               and .sequence_killed_tries > 0 and .sequence_killed_number == 5
               and .weir_reads >= 9000 and .weir_torn == 0
               and .weir_killed_whole and .weir_killed_value == 1 and .weir_killed_version == 1
               and .weir_last_whole and .weir_last_version >= 11
               and .weir_next_owner_died and .weir_next_version == .weir_last_version + 1' document
        ;;
    ftok)
        jq -e '.facts | .inode_a != .inode_b and .inode_a % 65536 == .inode_b % 65536
               and .key_a == .key_b and .key_a % 65536 == .inode_a % 65536
               and .written != .read and .missing_key == -1
               and .weir_create_second == "EEXIST" and .weir_missing == "ENOENT"' document
        ;;
    pointer)
        jq -e '.facts | .writer_address != .reader_address and .two_addresses_one_memory
               and .read_by_offset == "Hello" and .read_by_pointer != "Hello"
               and (.signal == 11 or .read_by_pointer != "")' document
        ;;
    sigbus)
        jq -e '.facts | .signal == 7 and .written_bytes <= .room_bytes
               and .room_bytes < .size_bytes and .posix_fallocate == "ENOSPC"
               and .system_v_signal == 0 and .weir_signal == 0' document
        ;;
    esac
}

@test "scene race: additions are lost without a semaphore, none with one, none with weir" {
    check_scene race
    check_facts race
    [[ "$output" == *"loads the counter: 0"*"loads the counter: 0"*"the counter is 1"* ]]
}

@test "scene torn: reads are torn without a semaphore, none with one, none with weir" {
    check_scene torn
    check_facts torn
    [[ "$output" == *"copies:  2 2 2 2 2 2 2 2 1 1 1 1 1 1 1 1"* ]]
}

@test "scene init-race: a post wiped out, a creator killed, and weir at the same instant" {
    check_scene init-race
    check_facts init-race
    jq -e '.facts.weir_tried' document || skip "ptrace(2) is not permitted here"
    jq -e '.facts | .weir_value_by_name == 1 and .weir_value_by_key == 1
           and .weir_leftovers_before == 1 and .weir_leftovers_after == 0' document
}

@test "scene mutex-death: all wait for the dead, a robust mutex and weir's tell the next one" {
    check_scene mutex-death
    check_facts mutex-death
    told_in_order '= ETIMEDOUT' 'next ' 'weir_mutex_lock(&account->mutex) = WEIR_OWNER_DIED' \
        'next ' 'weir_mutex_consistent(&account->mutex) = 0' 'third ' \
        'weir_mutex_lock(&account->mutex) = 0' 'third ' '= WEIR_OWNER_DIED' \
        'third ' '= -ENOTRECOVERABLE' 'parent ' '= -ENOTRECOVERABLE'
}

@test "scene condition: a wake-up lost by a switch, and one by a kill; weir looks again" {
    check_scene condition
    check_facts condition
    told_in_order 'looks: the mailbox is empty' 'FUTEX_WAKE) = 0' 'FUTEX_WAIT, 1, 200 ms) = ETIMEDOUT' \
        'FUTEX_WAIT, 1, 200 ms) = EAGAIN' 'looks: the mailbox is full' 'SIGKILL' '= ETIMEDOUT' \
        'weir_event_wait(&event, ticket) = 0' 'looks: the mailbox is full' 'SIGKILL' \
        'weir_event_wait(&event, ticket) = 0' 'looks: the mailbox is full' \
        'weir_condition_wait(&filled, &mutex) = WEIR_OWNER_DIED'
}

@test "scene latest: readers of a dead sequence lock try for ever; weir has the last whole value" {
    check_scene latest
    check_facts latest
    told_in_order 'copies: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1' 'finds the sequence odd (3)' \
        'copies: 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2' 'SIGKILL' 'the sequence is 5' \
        'looks at the words: 3 3 3 3 3 3 3 3 2 2 2 2 2 2 2 2' 'first half of value 2' 'SIGKILL' \
        'has version 1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1' \
        'weir_latest_writer_open(&writer, &memory)' '= WEIR_OWNER_DIED' ': 16 times '
}

@test "scene ftok: two inodes, one key, and the segment of a stranger" {
    check_scene ftok
    check_facts ftok
    jq -e '.facts | .even_chance_files == 302 and .missing_share_a_segment' document
}

@test "scene pointer: wrong at another address, the offset right" {
    check_scene pointer
    check_facts pointer
}

@test "scene pointer: without address randomisation too" {
    needs_json
    setarch -R true || skip "setarch -R is not permitted here"
    setarch -R "$WEIR" demo pointer --json >document
    check_facts pointer
}

@test "scene sigbus: SIGBUS, where System V is spared" {
    needs_json
    "$WEIR" demo sigbus --json >document
    jq -e '.skipped == null' document || skip "$(jq -r .skipped document)"
    check_scene sigbus
    check_facts sigbus
}

@test "the scenes on one core" {
    needs_json
    core="$(taskset --cpu-list --pid $$ | sed 's/.*: //; s/[-,].*//')"
    for scene in $scenes; do
        taskset --cpu-list "$core" "$WEIR" demo "$scene" --json >document
        [ "$(jq -r .skipped document)" != null ] || check_facts "$scene"
    done
}

@test "the scenes as a user without rights" {
    needs_json
    [ "$(id -u)" = 0 ] || skip "this is one already"
    nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
    $nobody true || skip "setpriv is not permitted here"
    place="$(mktemp -d /tmp/weir-scenes-XXXXXX)"
    chmod 755 "$place"
    cp "$WEIR" "$place/weir"
    for scene in $scenes; do
        (cd / && TMPDIR=/tmp $nobody "$place/weir" demo "$scene" --json) >document || break
        [ "$(jq -r .skipped document)" != null ] || check_facts "$scene" || break
        scene=
    done
    rm -r "$place"
    [ -z "$scene" ]
    check_nothing_left
}

@test "the scenes where namespaces are not permitted: the same facts, and sigbus is skipped" {
    needs_user_namespaces
    needs_json
    for scene in $scenes; do
        without_namespaces "$WEIR" demo "$scene" --json >document
        jq -e '.private_namespace == false' document
        if [ "$scene" = sigbus ]; then
            jq -e '.skipped | test("mount namespace")' document
        else
            jq -e '.skipped == null' document
            check_facts "$scene"
        fi
        check_nothing_left
        [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
    done
    run --separate-stderr without_namespaces "$WEIR" demo sigbus
    [ "$status" -eq 0 ]
    [[ "$output" == "skipped: "* ]]
    [ -z "$stderr" ]
}

@test "SIGINT in the midst of each scene leaves nothing" {
    needs_user_namespaces
    for scene in $scenes; do
        met=0
        for seed in 1 2 3 4 5; do
            if [ "$scene" = sigbus ]; then # which is skipped without a namespace
                ended="$(end_scene 2 "$seed" "$WEIR" demo sigbus --explain)"
            else
                ended="$(end_scene_without_namespaces 2 "$seed" "$WEIR" demo "$scene" --explain)"
            fi
            met=$((met + ended))
        done
        [ "$met" -ge 1 ]
    done
}

@test "SIGKILL of the command alone, without namespaces: nothing after the next weir command" {
    unshare --user --map-root-user true || skip "user namespaces are not permitted here"
    mkfifo told
    for scene in $scenes; do
        for lines in 1 25 50; do
            unshare --user --map-root-user sh -c "$forbid_namespaces" \
                sh "$WEIR" demo "$scene" --explain >told &
            command=$!
            exec {fd}<told
            for _ in $(seq "$lines"); do
                read -r _ <&"$fd" || break
            done
            kill -KILL "$command" || true
            cat <&"$fd" >/dev/null # ends when no process of the scene is left
            exec {fd}<&-
            wait "$command" || true
            "$WEIR" gc --yes >/dev/null
            check_nothing_left
        done
    done
    [ "$(find "$TMPDIR" -maxdepth 1 -name 'weir-demo-*')" = "" ]
}

@test "SIGKILL in the midst of each scene leaves nothing" {
    for scene in $scenes; do
        "$WEIR_BUILD/tests/kill_command" 6 1000 100000 "$WEIR" demo "$scene"
        check_nothing_left
    done
}

@test "the textbook's programs compile alone and show what they say" {
    type cc || skip "no compiler"
    for program in race torn init_race mutex_death condition latest ftok pointer sigbus; do
        cc -Wall -Wextra -Werror -o "$program" "$WEIR_SOURCE/examples/textbook/$program.c"
        "./$program" >out
        [ -s out ]
    done
    check_nothing_left
}
