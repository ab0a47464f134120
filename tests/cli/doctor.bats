#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir doctor: what it finds, how bad that is, and the cure.
# Method: the machine is made ill in a private namespace, one way a test.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    PATH=$(dirname "$WEIR"):$PATH # cures call weir
}

teardown() {
    remove_all
}

# level NAME: how bad the finding of that name is.
level() {
    { "$WEIR" doctor -J || true; } | jq -r --arg name "$1" '.findings[] | select(.name == $name).level'
}

cure() {
    { "$WEIR" doctor -J || true; } | jq -r --arg name "$1" '.findings[] | select(.name == $name).cure'
}

@test "each finding is complete, and each that is bad has a cure" {
    run --separate-stderr "$WEIR" doctor -J
    [ -z "$stderr" ]
    jq -e '.findings | length >= 20 and all(.level | IN("ok", "note", "warning", "problem")) and
        all((.name | length > 0) and (.finding | length > 10)) and
        ([.[].name] | (unique | length) == length)' <<<"$output"
    for name in SHMMAX SHMALL SHMMNI SEMMNI SEMMNS SEMMSL shm_rmid_forced RemoveIPC 'IPC namespace' \
        /dev/shm 'POSIX segments' 'huge pages' memlock 'run directory' kernel SHM_STAT_ANY SEM_STAT_ANY membarrier futex_waitv \
        io_uring pidfd_open MADV_POPULATE leftovers orphans; do
        [ -n "$(level "$name")" ]
    done
}

@test "POSIX segments of this user are counted, and left alone" {
    alone
    [ "$(level 'POSIX segments')" = ok ]
    "$WEIR" create posix:/one --size 8K
    truncate -s 1M /dev/shm/two # no memory yet
    [ "$(level 'POSIX segments')" = note ]
    [[ "$("$WEIR" doctor)" == *'POSIX segments'*'2 of yours take 8K of memory'* ]]
    works "$WEIR" rm posix:/one posix:/two
    # Another user's are that user's to look after.
    nobody_can
    chmod 1777 /dev/shm
    as_nobody create posix:/three --size 8K
    [ "$(level 'POSIX segments')" = ok ]
    works "$WEIR" rm posix:/three
}

@test "what a killed process left is told as that, and a set without its segment as nobody's" {
    alone
    [ "$(level leftovers)" = ok ]
    [ "$(level orphans)" = ok ]
    hold doctor/dead
    [ "$(level leftovers)" = ok ]
    [ "$(level orphans)" = ok ]
    kill_holder
    [ "$(level leftovers)" = note ]
    [ "$(level orphans)" = note ]
    [[ "$("$WEIR" doctor)" == *'nobody uses 1 of the segments and sets (0B in all)'* ]]
    sh -c "$(cure leftovers)" >/dev/null 2>&1
    [ "$(level leftovers)" = ok ]
    [ "$(level orphans)" = ok ]
}

@test "a limit on locked memory has the cure that its user can do" {
    nobody_can
    memlock() {
        as_nobody doctor -J | jq -r '.findings[] | select(.name == "memlock") | .level, .finding, .cure'
    }
    bash -c 'ulimit -Sl 64 && ulimit -Hl 128' || skip "limits cannot be set here"
    run eval 'ulimit -Sl 64; ulimit -Hl 128; memlock'
    [[ "$output" == $'note\n64K may be locked'*$'\nulimit -l $(ulimit -H -l)' ]]
    run eval 'ulimit -l 64; memlock'
    [[ "$output" == $'note\n64K may be locked'*'sudo tee /etc/security/limits.d/'* ]]
}

@test "the exit status says whether there is a problem" {
    alone
    works "$WEIR" doctor
    [[ "$output" == *"ok       kernel"* ]]
    mount -t tmpfs -o size=64k tmpfs /dev/shm || skip "nothing can be mounted here"
    head -c 64k /dev/zero >/dev/shm/full
    run --separate-stderr "$WEIR" doctor
    [ "$status" -eq 1 ]
    [[ "$output" == *'problem  /dev/shm'*'all of its 64K are in use'*'-> '*'mount -o remount'* ]]
    run "$WEIR" doctor -J
    [ "$status" -eq 1 ]
    # What cannot be written is told, although the status is that of a problem.
    run --separate-stderr bash -c '"$WEIR" doctor >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"cannot write the output: "* ]]
    rm /dev/shm/full
    umount /dev/shm
    # Full of files, of which none takes any room.
    mount -t tmpfs -o size=100m,nr_inodes=3 tmpfs /dev/shm
    : >/dev/shm/one
    [ "$(level /dev/shm)" = ok ]
    : >/dev/shm/two
    [ "$(level /dev/shm)" = problem ]
    umount /dev/shm
}

@test "-q leaves warnings and problems" {
    run --separate-stderr "$WEIR" doctor -q
    [ "$(grep -cE '^(ok|note) ' <<<"$output")" -eq 0 ]
}

@test "limits that are met are problems, and nearly met are warnings" {
    alone
    echo 20 2>/dev/null >/proc/sys/kernel/shmmni || skip "limits cannot be set here"
    [ "$(level SHMMNI)" = ok ]
    for _ in {1..19}; do
        ipcmk -M 1 >/dev/null
    done
    [ "$(level SHMMNI)" = warning ]
    ipcmk -M 1 >/dev/null
    [ "$(level SHMMNI)" = problem ]
    [[ "$(cure SHMMNI)" == *'kernel.shmmni=40' ]]
    # The cure is what it says: done, the problem is gone.
    sh -c "$(cure SHMMNI | sed 's/sudo //')" >/dev/null
    [ "$(level SHMMNI)" = ok ]
    echo 4096 >/proc/sys/kernel/shmmni
    echo '250 32000 32 1' >/proc/sys/kernel/sem
    [ "$(level SEMMNI)" = ok ]
    ipcmk -S 1 >/dev/null
    [ "$(level SEMMNI)" = problem ]
    sh -c "$(cure SEMMNI | sed 's/sudo //')" >/dev/null
    [ "$(level SEMMNI)" = ok ]
    echo 1 >/proc/sys/kernel/shmall
    [ "$(level SHMALL)" = problem ]
    sh -c "$(cure SHMALL | sed 's/sudo //')"
    [ "$(level SHMALL)" = ok ]
    echo 1048576 >/proc/sys/kernel/shmmax
    [ "$(level SHMMAX)" = warning ]
    sh -c "$(cure SHMMAX | sed 's/sudo //')"
    [ "$(level SHMMAX)" = ok ]
    echo 1 >/proc/sys/kernel/shm_rmid_forced
    [ "$(level shm_rmid_forced)" = warning ]
    sh -c "$(cure shm_rmid_forced | sed 's/sudo //')"
    [ "$(level shm_rmid_forced)" = ok ]
}

@test "RemoveIPC is read as logind reads it, and concerns users that are not the system's" {
    alone
    nobody_can
    mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc/systemd ||
        skip "nothing can be mounted here"
    setting() {
        as_nobody doctor -J | jq -r '.findings[] | select(.name == "RemoveIPC") | .level + " " + .finding'
    }
    [[ "$(setting)" == 'ok systemd does not run here'* ]]
    mkdir -p /run/systemd/system
    # nobody is no system user for logind: its number is above SYS_UID_MAX.
    [[ "$(setting)" == "warning yes (logind's default)"* ]]
    [[ "$("$WEIR" doctor)" == *'not for a system user as you are'* ]]
    printf '[Login]\n#RemoveIPC=yes\nRemoveIPC = no\n' >/etc/systemd/logind.conf
    [[ "$(setting)" == 'ok no (/etc/systemd/logind.conf)'* ]]
    mkdir -p /run/systemd/logind.conf.d /etc/systemd/logind.conf.d
    printf '[Other]\nRemoveIPC=no\n[Login]\nRemoveIPC=yes\n' >/run/systemd/logind.conf.d/50-a.conf
    [[ "$(setting)" == 'warning yes (/run/systemd/logind.conf.d/50-a.conf)'* ]]
    printf '[Login]\nRemoveIPC=yes\n[Other]\nRemoveIPC=no\n' >/run/systemd/logind.conf.d/50-a.conf
    [[ "$(setting)" == 'warning yes (/run/systemd/logind.conf.d/50-a.conf)'* ]]
    # The system's users, to the last of them, are spared.
    most=$(awk '$1 == "SYS_UID_MAX" { most = $2 } END { print most ? most : 999 }' /etc/login.defs)
    for uid in "$most" $((most + 1)); do
        run setpriv --reuid "$uid" --regid 65534 --clear-groups "$nobody_folder/weir" doctor
        [[ "$output" == *'RemoveIPC'*' yes (/run/systemd/logind.conf.d/50-a.conf)'* ]]
        [ "$uid" -gt "$most" ] || [[ "$output" == *'not for a system user as you are'* ]]
        [ "$uid" -le "$most" ] || [[ "$output" != *'a system user'* ]]
    done
    # The same name in /etc hides it, whatever is in it.
    : >/etc/systemd/logind.conf.d/50-a.conf
    [[ "$(setting)" == 'ok no (/etc/systemd/logind.conf)'* ]]
    printf '[Login]\nRemoveIPC=on\n' >/run/systemd/logind.conf.d/40-b.conf
    printf '[Login]\nRemoveIPC=0\n' >/etc/systemd/logind.conf.d/60-c.conf
    printf '[Login]\nRemoveIPC=nonsense\n' >/etc/systemd/logind.conf.d/70-d.conf
    printf '[Login]\nRemoveIPC=yes\n' >/etc/systemd/logind.conf.d/80-not-a-conf
    [[ "$(setting)" == 'ok no (/etc/systemd/logind.conf.d/60-c.conf)'* ]]
    # The cure, without the restart of logind.
    printf '[Login]\nRemoveIPC=yes\n' >/etc/systemd/logind.conf.d/60-c.conf
    as_nobody doctor -J | jq -r '.findings[] | select(.name == "RemoveIPC").cure' |
        sed 's/sudo //g; s/ && systemctl.*//' >cure
    sh cure >/dev/null
    [[ "$(setting)" == 'ok no (/etc/systemd/logind.conf.d/weir.conf)'* ]]
    umount /run /etc/systemd
}

@test "the run directory's faults are found, each with its cure" {
    alone
    [ -z "${WEIR_DIR:-}" ] || skip "WEIR_DIR is set"
    local own
    own=/dev/shm/weir-$(id -u)
    [ "$(level 'run directory')" = ok ]
    mkdir -m 0755 "$own"
    [ "$(level 'run directory')" = problem ]
    sh -c "$(cure 'run directory')"
    [ "$(level 'run directory')" = ok ]
    rmdir "$own"
    ln -s /tmp "$own"
    [ "$(level 'run directory')" = problem ]
    sh -c "$(cure 'run directory' | sed 's/sudo //')"
    : >"$own"
    [ "$(level 'run directory')" = problem ]
    sh -c "$(cure 'run directory' | sed 's/sudo //')"
    [ "$(level 'run directory')" = ok ]
    export WEIR_DIR=relative
    [ "$(level 'run directory')" = problem ]
    # A file of the user's, which no cure takes away.
    : >thesis
    WEIR_DIR=$PWD/thesis
    [ "$(level 'run directory')" = problem ]
    [ "$(cure 'run directory')" = 'unset WEIR_DIR' ]
    WEIR_DIR=/no/such/parent/dir
    [ "$(level 'run directory')" = problem ]
    WEIR_DIR=$PWD/own
    [ "$(level 'run directory')" = ok ]
    mkdir -m 1777 own
    [ "$(level 'run directory')" = problem ]
    # What is everybody's stays sticky: the cure is a directory inside it.
    [[ "$(cure 'run directory')" == "mkdir -m 700 '$WEIR_DIR/weir-"*"' && export WEIR_DIR='$WEIR_DIR/weir-"* ]]
    (
        eval "$(cure 'run directory')"
        [ "$(level 'run directory')" = ok ]
    )
    [ "$(stat -c %a own)" = 1777 ]
    rmdir "own/weir-$(id -u)"
    chmod 1770 own
    [ "$(level 'run directory')" = problem ]
    sh -c "$(cure 'run directory')"
    [ "$(level 'run directory')" = ok ]
    chmod 0777 own
    [ "$(level 'run directory')" = warning ]
    sh -c "$(cure 'run directory')"
    [ "$(level 'run directory')" = ok ]
    # Opened to a group when there are names already.
    chmod 0700 own
    works "$WEIR" create make/before --size 1
    [ "$(level 'run directory')" = ok ]
    chmod 2770 own
    [ "$(level 'run directory')" = problem ]
    refused 1 "give it that mode" "$WEIR" create make/after --size 1
    sh -c "$(cure 'run directory')"
    [ "$(level 'run directory')" = ok ]
    works "$WEIR" rm make/before
}

@test "another user's sticky directory is left as it is: the cure is one inside it" {
    nobody_can
    local path="$nobody_folder/sticky"
    mkdir "$path"
    chown 0:65534 "$path"
    chmod 1770 "$path"
    run bash -c "$(declare -f as_nobody nobody_can); nobody_folder='$nobody_folder'
        WEIR_DIR='$path' as_nobody doctor -J | jq -r '.findings[] | select(.name == \"run directory\").cure'"
    [ "$output" = "mkdir -m 700 '$path/weir-65534' && export WEIR_DIR='$path/weir-65534'" ]
}

@test "in a user namespace no cure takes away what may be root's outside" {
    alone
    [ -z "${WEIR_DIR:-}" ] || skip "WEIR_DIR is set"
    unshare --user --map-root-user true || skip "user namespaces are not permitted here"
    local doctor="\"$WEIR\" doctor -J 2>/dev/null | jq -r '.findings[] | select(.name == \"run directory\") | .level, .cure'"
    # Who has no uid has no default directory.
    run unshare --user bash -c "$doctor"
    [[ "$output" == $'problem\n'*'export WEIR_DIR='* ]]
    run unshare --user --map-root-user bash -c "$doctor"
    [[ "$output" == ok* ]]
    # It is another's, root's for example.
    local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${as[@]}" test -x "$WEIR" 2>/dev/null || return 0
    mkdir -m 0700 /dev/shm/weir-65534-0
    run "${as[@]}" unshare --user --map-root-user bash -c "$doctor"
    [[ "$output" == $'problem\n'*'export WEIR_DIR='* && "$output" != *sudo* ]]
    rmdir /dev/shm/weir-65534-0
}

@test "a run directory without room is found" {
    alone
    mkdir full
    mount -t tmpfs -o size=4k,mode=0700 tmpfs full 2>/dev/null || skip "nothing can be mounted"
    export WEIR_DIR=$PWD/full
    [ "$(level 'run directory')" = ok ]
    cat /dev/zero >full/all 2>/dev/null || true
    [ "$(level 'run directory')" = problem ]
    [[ "$(cure 'run directory')" == "df -h '$PWD/full' "* ]]
    rm full/all
    [ "$(level 'run directory')" = ok ]
    umount full
    mount -t tmpfs -o nr_inodes=2,mode=0700 tmpfs full
    [ "$(level 'run directory')" = ok ]
    : >full/all
    [ "$(level 'run directory')" = problem ]
    umount full
}

@test "where nothing can be made, that is found" {
    alone
    [ -z "${WEIR_DIR:-}" ] || skip "WEIR_DIR is set"
    mkdir kept
    mount -t tmpfs -o ro tmpfs /dev/shm || skip "nothing can be mounted here"
    [ "$(level /dev/shm)" = problem ]
    [ "$(cure /dev/shm)" = "sudo mount -o remount,rw /dev/shm" ]
    [ "$(level 'run directory')" = problem ]
    sh -c "$(cure 'run directory' | sed 's/sudo //')"
    [ "$(level /dev/shm)" != problem ]
    [ "$(level 'run directory')" = ok ]
    umount /dev/shm
    # A file system in which nobody makes anything, also not root, and a directory that is not there in it.
    export WEIR_DIR=/proc
    [ "$(level 'run directory')" = problem ]
    WEIR_DIR=/proc/weir
    [ "$(level 'run directory')" = problem ]
    # What was tried has left nothing.
    WEIR_DIR=$PWD/kept
    [ "$(level 'run directory')" != problem ]
    [ -z "$(ls -A kept)" ]
}

@test "no more than the terminal's width is printed, but for commands to copy" {
    command -v script >/dev/null || skip "no script(1)"
    script -qec "stty cols 80; '$WEIR' doctor" /dev/null </dev/null | tr -d '\r' >typescript
    [ "$(grep -v -- '-> ' typescript | wc -L)" -le 80 ]
}
