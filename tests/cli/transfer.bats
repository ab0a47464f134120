#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# weir send and recv: every byte or a failure that is told, in either order, whoever is killed.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    "$WEIR_BUILD/tests/stalls" stalls 3>&- &
    stalls=$!
    disown # a test that waits for all that it has started does not mean this one
    until [ -e stalls ]; do kill -0 "$stalls"; done
}

# A test that fails half-way leaves nobody running.
teardown() {
    kill -9 "$stalls"
    for pid in $(jobs -p); do
        kill -9 "$pid" 2>/dev/null || true
    done
    # The next weir command clears what the killed left.
    "$WEIR" send --wait 0 nobody </dev/null 2>/dev/null || true
}

chunk=1048568 # the most of one message, a quarter of the ring

# Bytes of so many, not compressible and not the same twice.
bytes() {
    head -c "$1" /dev/urandom
}

check_nothing_left() {
    [ "$WEIR_ISOLATED" = 1 ] || return 0 # then others are here, and tests/isolated compares
    [ "$(tail -n +2 /proc/sysvipc/shm)" = "" ]
    [ "$(tail -n +2 /proc/sysvipc/sem)" = "" ]
    [ "$(find /dev/shm -mindepth 1 ! -type d)" = "" ]
}

# Until the process sleeps, and has told its own memory to the channel for others to find.
await_sleeper() {
    local state=R
    while [ "$state" != S ] || [ "$(tail -n +2 /proc/sysvipc/shm | wc -l)" -lt 3 ]; do
        read -r _ _ state _ <"/proc/$1/stat" || return 1
    done
}

now_ms() {
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# begin: from now on. within_a_second: whether less has passed, without the time in which this machine ran
# nobody: so long nobody can end. Sets took.
begin() {
    mapfile -t stalls_before <stalls
    start=$(now_ms)
}

within_a_second() {
    local end i stalls_now before now known most=0
    end=$(now_ms)
    took=$((end - start))
    [ $took -ge 1000 ] || return 0
    for i in "${!stalls_before[@]}"; do
        known=0
        while [ "$known" -lt "$end" ]; do
            mapfile -t stalls_now <stalls
            known=$((10#${stalls_now[i]#* }))
        done
        before=$((10#${stalls_before[i]% *}))
        now=$((10#${stalls_now[i]% *}))
        [ $((now - before)) -le $most ] || most=$((now - before))
    done
    took=$((took - most))
    [ $took -lt 1000 ]
}

# Waits for the process; it must end with the status, within a second.
ends_soon() {
    local start status=0
    begin
    wait "$1" || status=$?
    [ "$status" -eq "$2" ]
    within_a_second
}

# A pair that is in the middle of it: what goes into descriptor 7 comes out of 8.
start_pair() {
    mkfifo in out
    "$WEIR" send pair <in 2>send.err &
    sender=$!
    exec 7>in
    "$WEIR" recv pair >out 2>recv.err 7>&- &
    receiver=$!
    exec 8<out
    echo hello >&7
    read -r line <&8
    [ "$line" = hello ]
}

@test "all sizes around a chunk, both orders, files and streams" {
    for size in 0 1 $((chunk - 1)) $chunk $((chunk + 1)) $((4 * chunk)) $((5 * chunk + 1)); do
        bytes "$size" >in
        "$WEIR" send a/b in &
        first=$!
        await_sleeper $first
        "$WEIR" recv a/b out
        wait $first
        cmp in out
        "$WEIR" recv x >out &
        first=$!
        await_sleeper $first
        "$WEIR" send x <in
        wait $first
        cmp in out
        bytes "$size" | tee in | "$WEIR" send p - &
        "$WEIR" recv p - | cat >out
        wait $!
        cmp in out
    done
    check_nothing_left
}

@test "100 MiB, whoever comes first" {
    bytes 104857600 >in
    "$WEIR" recv big out &
    "$WEIR" send big in
    wait $!
    cmp in out
    check_nothing_left
}

@test "FILE is written in place, shorter too" {
    bytes 500000 >out
    ln out same
    echo short >in
    "$WEIR" recv x out &
    "$WEIR" send x in
    wait $!
    cmp in same
}

# same_file SENT ARGUMENT...: 'recv' with these, and its standard output at the end of in, is
# refused while SENT is sent by "send x"; both say so, and in is what it was.
same_file() {
    cp in before
    "$WEIR" send x "$1" 2>send.err &
    local sender=$!
    run --separate-stderr bash -c '"$WEIR" recv x "$@" >>in' bash "${@:2}"
    ends_soon $sender 1
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"is the same file as the sender's: nothing is written"* ]]
    [[ "$(cat send.err)" == *"$1 is the same file as the receiver's: nothing is written"* ]]
    cmp in before
}

@test "to send a file into itself is refused, and it stays as it was" {
    bytes 3000000 >in
    ln in linked
    ln -s in symbolic
    same_file in in
    same_file in linked
    same_file symbolic in
    same_file in
    # A file of the same bytes is another one.
    cp in out
    "$WEIR" recv x out &
    "$WEIR" send x in
    wait $!
    cmp in out
    check_nothing_left
}

@test "a file that becomes shorter while it is sent is told on both sides" {
    mkfifo out
    bytes 30000000 >in
    "$WEIR" send x in 2>send.err &
    local sender=$!
    "$WEIR" recv x out 2>recv.err &
    local receiver=$!
    exec 8<out
    read -r -N 1 -u 8 # it is being sent, and not all has been read
    : >in
    cat <&8 >/dev/null
    ends_soon $sender 1
    ends_soon $receiver 1
    exec 8<&-
    [[ "$(cat send.err)" == *"in ended after "*" of its 28.6 MiB: it became shorter"* ]]
    [[ "$(cat recv.err)" == *"the sender's file became shorter while it was sent"* ]]
    # The size of such a file is a page, and says nothing.
    local page=/sys/kernel/mm/transparent_hugepage/enabled
    if [ -r $page ]; then
        "$WEIR" send x $page &
        "$WEIR" recv x >got
        wait $!
        cmp got $page
    fi
    check_nothing_left
}

@test "a line arrives before the next one is written" {
    start_pair
    for word in one two three; do
        echo $word >&7
        read -r line <&8
        [ "$line" = $word ]
    done
    exec 7>&-
    wait $sender
    wait $receiver
    [ ! -s send.err ]
    [ ! -s recv.err ]
    check_nothing_left
}

@test "a second sender or receiver is refused, and the first pair goes on" {
    start_pair
    run --separate-stderr "$WEIR" send pair </dev/null
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"busy: another sender"* ]]
    run --separate-stderr "$WEIR" recv pair
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"busy: another receiver"* ]]
    [ -z "$output" ]
    echo again >&7
    read -r line <&8
    [ "$line" = again ]
    exec 7>&-
    wait $sender
    wait $receiver
}

@test "--wait ends in time, and recv leaves FILE alone" {
    echo precious >file
    start=$(now_ms)
    run --separate-stderr "$WEIR" recv --wait 0.2 x file
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"no sender came within 0.2 s"* ]]
    [ $(($(now_ms) - start)) -ge 200 ]
    [ "$(cat file)" = precious ]
    run --separate-stderr "$WEIR" send file x -w 0
    [ "$status" -eq 1 ]
    run --separate-stderr "$WEIR" send x file -w 0
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"no receiver came"* ]]
    check_nothing_left
}

@test "called wrongly: 2" {
    for arguments in "" "x y z" "--wait" "--wait=soon x" "--wait=-1 x" "--wait=inf x" "a//b" "../x" \
        "-x n" "name:1"; do
        for command in send recv; do
            # shellcheck disable=SC2086
            run --separate-stderr "$WEIR" $command $arguments </dev/null
            [ "$status" -eq 2 ]
            [ -n "$stderr" ]
            [ -z "$output" ]
        done
    done
}

@test "a name of another kind" {
    "$WEIR" create other --size 4096
    for command in send recv; do
        run --separate-stderr "$WEIR" $command other </dev/null
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"not a channel"* ]]
    done
    "$WEIR" rm other
}

@test "what cannot be read fails before anybody waits" {
    mkdir directory
    for file in missing directory; do
        run --separate-stderr "$WEIR" send x $file
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"$file"* ]]
    done
    check_nothing_left
}

@test "where nothing can be written is told before anybody waits" {
    mkdir directory
    : >file
    for path in directory nowhere/file file/other ""; do
        run --separate-stderr timeout 10 "$WEIR" recv x "$path"
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"cannot open $path: "* ]]
    done
    # The sender that waits is left to the next one.
    echo hello >in
    "$WEIR" send x in &
    await_sleeper $!
    run "$WEIR" recv x nowhere/file
    [ "$status" -eq 1 ]
    [ "$("$WEIR" recv x)" = hello ]
    wait $!
    # A new file is not made before a sender has come.
    run "$WEIR" recv --wait 0 x new
    [ "$status" -eq 1 ]
    [ ! -e new ]
    check_nothing_left
}

@test "a read error at the sender is told on both sides" {
    "$WEIR" recv x out 2>recv.err &
    receiver=$!
    run --separate-stderr "$WEIR" send x /proc/self/mem
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"Input/output error"* || "$stderr" == *"I/O error"* ]] # glibc, musl
    ends_soon $receiver 1
    [[ "$(cat recv.err)" == *"sender failed: "*"/"*" error"* ]]
    check_nothing_left
}

@test "an output that cannot be opened, or is full, or closed, is told on both sides" {
    bytes 3000000 >in
    ln -s nowhere/file dangling # only the open can tell
    mkfifo unread
    exec 9<>unread
    "$WEIR" send x in 2>send.err &
    sender=$!
    run --separate-stderr "$WEIR" recv x dangling
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"dangling: No such file or directory"* ]]
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"receiver failed: No such file or directory"* ]]

    "$WEIR" send x in 2>send.err &
    sender=$!
    run --separate-stderr bash -c '"$WEIR" recv x >/dev/full'
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"receiver failed: No space left on device"* ]]

    "$WEIR" send x in 2>send.err &
    sender=$!
    run --separate-stderr bash -c '"$WEIR" recv x | head -c 5 | wc -c; exit ${PIPESTATUS[0]}'
    [ "$status" -eq 1 ]
    [ "$output" = 5 ]
    [[ "$stderr" == *"Broken pipe"* ]] # unlike others: a transfer that is not whole is a failure
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"receiver failed: Broken pipe"* ]]

    "$WEIR" send x in 2>send.err &
    sender=$!
    run --separate-stderr bash -c '"$WEIR" recv x >&-'
    [ "$status" -eq 1 ]
    ends_soon $sender 1
    check_nothing_left
}

@test "a receiver that fails at once is told of, however late the sender looks" {
    bytes 10 >in
    ln -s nowhere/file dangling
    for i in {1..40}; do
        "$WEIR" recv x dangling 2>/dev/null &
        receiver=$!
        run --separate-stderr timeout 5 "$WEIR" send x in
        wait $receiver || true
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"receiver failed: No such file or directory"* ]]
    done
    check_nothing_left
}

@test "a full disk at the receiver" {
    bytes 3000000 >in
    mkdir small
    mount -t tmpfs -o size=1m none small 2>/dev/null || skip "nobody may mount here"
    "$WEIR" send x in 2>send.err &
    sender=$!
    run --separate-stderr "$WEIR" recv x small/out
    umount small
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"No space left"* ]]
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"receiver failed: No space left on device"* ]]
    check_nothing_left
}

@test "killed sender: the receiver that waits ends at once" {
    start_pair
    kill -9 $sender
    ends_soon $receiver 1
    [[ "$(cat recv.err)" == *"the sender was killed"* ]]
    check_nothing_left
}

@test "killed receiver: the sender that reads from a silent input ends at once" {
    start_pair
    kill -9 $receiver
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"the receiver was killed"* ]]
    check_nothing_left
}

@test "killed sender: the receiver whose output is stuck ends at once" {
    mkfifo out
    exec 8<>out
    bytes 10000000 | base64 >in
    "$WEIR" send x in &
    sender=$!
    "$WEIR" recv x >out 2>recv.err &
    receiver=$!
    read -r -N 1 -u 8 # the pipe begins to fill, and nobody reads on
    await_sleeper $receiver
    kill -9 $sender
    ends_soon $receiver 1
    [[ "$(cat recv.err)" == *"the sender was killed"* ]]
    check_nothing_left
}

@test "SIGTERM and SIGHUP: nothing is left, and the other side is told" {
    for command in send recv; do
        for signal in TERM HUP; do
            "$WEIR" $command alone </dev/zero &
            waiting=$!
            await_sleeper $waiting
            kill -$signal $waiting
            ends_soon $waiting $((128 + $(kill -l $signal)))
            check_nothing_left
        done
    done
    start_pair
    kill -TERM $sender
    ends_soon $sender 143
    ends_soon $receiver 1
    [[ "$(cat recv.err)" == *"the sender was interrupted after"* ]]
    check_nothing_left
    rm in out
    exec 7>&- 8<&-
    start_pair
    kill -HUP $receiver
    ends_soon $receiver 129
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"the receiver was interrupted after"* ]]
    check_nothing_left
}

@test "SIGTERM ends it also where whoever started it has its own signal blocked" {
    env --block-signal=USR1 true 2>/dev/null || skip "env(1) blocks no signals"
    for command in recv send; do
        env --block-signal=USR1 "$WEIR" $command alone </dev/zero >/dev/null &
        waiting=$!
        await_sleeper $waiting
        kill -TERM $waiting
        ends_soon $waiting 143
    done
}

@test "stopped and continued while it waits alone, it waits on" {
    "$WEIR" recv x >out &
    receiver=$!
    await_sleeper $receiver
    kill -STOP $receiver
    kill -CONT $receiver
    echo hello | "$WEIR" send x
    wait $receiver
    [ "$(cat out)" = hello ]
}

@test "a stopped sender is alive: the receiver waits for it" {
    start_pair
    kill -STOP $sender
    echo later >&7
    run --separate-stderr "$WEIR" send pair </dev/null
    [ "$status" -eq 1 ]
    [ -d /proc/$receiver ]
    kill -CONT $sender
    read -r line <&8
    [ "$line" = later ]
    exec 7>&-
    wait $sender
    wait $receiver
}

@test "one pair after the other, without a pause: nobody is refused" {
    for i in {1..100}; do
        echo "$i" | "$WEIR" send --wait 10 x || echo "send $i" >>failed
    done &
    for i in {1..100}; do
        "$WEIR" recv --wait 10 x || echo "recv $i" >>failed
    done >got
    wait $!
    [ ! -e failed ]
    cmp got <(seq 100)
    check_nothing_left
}

@test "after a pair was killed a new one works at once" {
    for victim in sender receiver both; do
        rm -f in out
        start_pair
        case $victim in
        sender) kill -9 $sender ;;
        receiver) kill -9 $receiver ;;
        both) kill -9 $sender $receiver ;;
        esac
        wait $sender || true
        exec 7>&- 8<&-
        echo "after $victim" | "$WEIR" send --wait 10 pair &
        [ "$("$WEIR" recv --wait 10 pair)" = "after $victim" ]
        wait $!
        wait $receiver || true
    done
    check_nothing_left
}

# kill_pairs COUNT CHANNEL: in a shell of its own; a line for each round that was as it must be.
kill_pairs() {
    local out=out.$2
    trap 'kill -9 $sender $receiver 2>/dev/null || true' EXIT
    for ((round = 0; round < $1; round++)); do
        rm -f "$out"
        "$WEIR" send --wait 0.3 "$2" in 2>/dev/null &
        sender=$!
        "$WEIR" recv --wait 0.3 "$2" "$out" 2>/dev/null &
        receiver=$!
        if ((RANDOM % 2)); then
            victim=$sender other=$receiver
        else
            victim=$receiver other=$sender
        fi
        # The instant itself is what is random here: nothing is waited for.
        read -r -t "0.0$((RANDOM % 3))$((RANDOM % 10))" <> <(:) || true
        kill -9 $victim 2>/dev/null || true
        begin
        wait $other && other_status=0 || other_status=$?
        within_a_second || { echo "$2 $round: who was left alone ended after $took ms" && exit 1; } >&2
        wait $victim && victim_status=0 || victim_status=$?
        [ $other_status -le 1 ]
        if [ $other_status -eq 0 ] || [ $victim_status -eq 0 ]; then
            cmp in "$out"
        fi
        echo "$2 $round"
    done
    trap - EXIT
}

@test "200 SIGKILLs at random instants: the other ends, and no copy is wrong and called right" {
    bytes 16000000 >in
    # Who is left alone gives up in its own time: in four channels at once.
    for channel in a b c d; do
        kill_pairs 50 $channel >done.$channel &
    done
    for lane in $(jobs -p); do
        wait "$lane"
    done
    [ "$(cat done.? | wc -l)" -eq 200 ]
    run "$WEIR" send --wait 0 nobody </dev/null
    check_nothing_left
}

# lies LIE COMMAND MESSAGE: against such a stranger COMMAND ends with 1 and the message.
lies() {
    "$WEIR_BUILD/tests/stranger" "$1" x &
    local stranger=$!
    run --separate-stderr timeout 30 "$WEIR" "$2" x </dev/zero
    wait $stranger
    [ "$status" -eq 1 ]
    [[ "$stderr" == *"$3"* ]]
}

@test "the other side is no weir, or does not keep to the rules" {
    lies publish recv "'x' is a channel of another program"
    lies subscribe send "'x' is a channel of another program"
    lies version recv "another version of weir"
    lies sum recv "what the sender wrote into the shared memory cannot be true"
    lies early send "what the receiver wrote into the shared memory cannot be true"
    lies unread send "what the receiver wrote into the shared memory cannot be true"
    check_nothing_left
}

@test "a channel for more than one of each is none of a stream" {
    "$WEIR_BUILD/tests/stranger" many x 3>&- &
    local stranger=$!
    until "$WEIR" list --noheadings -o NAME | grep -qx x; do sleep 0.05; done
    for command in recv send; do
        run --separate-stderr timeout 30 "$WEIR" $command x </dev/zero
        [ "$status" -eq 1 ]
        [[ "$stderr" == *"'x' is a channel of another program"* ]]
    done
    kill $stranger
    wait $stranger || true
    "$WEIR" gc --yes
    check_nothing_left
}

@test "a sender that comes back in the middle is not taken for the former one" {
    lies twice recv "the sender was killed, or ended too soon, after 5 B"
    [ "$output" = hello ]
    check_nothing_left
}

@test "a receiver that takes the place of a killed one gets nothing of its transfer" {
    start_pair
    kill -9 $receiver
    "$WEIR" recv --wait 10 pair >second &
    receiver=$!
    ends_soon $sender 1
    [[ "$(cat send.err)" == *"the receiver was killed"* ]]
    exec 7>&- 8<&-
    echo another | "$WEIR" send --wait 10 pair
    wait $receiver
    [ "$(cat second)" = another ]
    check_nothing_left
}

@test "names as long as names may be" {
    for name in "$(printf 'a%.0s' {1..200})" "$(printf 'a%.0s' {1..186})/$(printf 'b%.0s' {1..13})"; do
        echo hello | "$WEIR" send "$name" &
        [ "$("$WEIR" recv "$name")" = hello ]
        wait $!
    done
    check_nothing_left
}

@test "progress is for terminals, and -q silences it" {
    bytes 3000000 >in
    "$WEIR" recv x out 2>recv.err &
    script --quiet --return --command '"$WEIR" send x in' screen </dev/null >/dev/null
    wait $!
    [ ! -s recv.err ]
    grep -q '100%.*2.9 MiB of 2.9 MiB' screen
    "$WEIR" recv -q x out &
    script --quiet --return --command '"$WEIR" send x in --quiet' screen </dev/null >/dev/null
    wait $!
    ! grep -q '%' screen
}

@test "on a terminal it says for whom it waits, and -q silences it" {
    local way other
    echo hello >in
    for way in 'send x in|recv x out|receiver' 'recv x out|send x in|sender'; do
        IFS='|' read -r way other who <<<"$way"
        script --quiet --flush --return --command "\"\$WEIR\" $way" screen </dev/null >/dev/null &
        until grep -q "waiting for a $who of 'x'" screen 2>/dev/null; do :; done
        "$WEIR" $other
        wait $!
        # The bar's line is the same, cleared.
        grep -q "waiting for a $who of 'x'"$'\r\e'"\[K" screen
        cmp in out
        rm screen
        script --quiet --return --command "\"\$WEIR\" $way -q --wait 0" screen </dev/null >/dev/null || true
        run ! grep -q waiting screen
        rm screen
    done
}
