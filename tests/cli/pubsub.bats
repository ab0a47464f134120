#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: weir pub and weir sub: every message once and in order, whoever comes, goes or is killed;
#       the forms in and out are inverse; each error is clear; nothing is left behind.
# Method: processes of the two commands; who has subscribed is asked by 'weir pub --wait-for'.
#
# PUBSUB_ROUNDS: how often 'echo x | weir pub c' is tried; 200 without it.

load channels.bash

@test "a message a line, to all who subscribe" {
    sub one -c 4 c
    local first=$sub_pid
    sub two --count=4 c
    works "$WEIR" pub c <<<$'a b\n\n-c\nd'
    [ -z "$output" ]
    ends "$first" 0
    ends "$sub_pid" 0
    printf 'a b\n\n-c\nd\n' | tee expected | cmp - one
    cmp expected two
    [ ! -s one.err ]
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "the last line needs no end; no line is no message" {
    sub out -c 2 c
    printf '' | works "$WEIR" pub c
    printf '\nlast' | "$WEIR" pub c
    ends "$sub_pid" 0
    printf '\nlast\n' | cmp - out
}

@test "options stand anywhere, and a file is a message" {
    head -c 100000 /dev/urandom >one
    : >two
    sub out c --raw -c 3
    printf 'from stdin\n' | works "$WEIR" pub c one two --quiet - --taken
    ends "$sub_pid" 0
    { cat one && echo from stdin; } | cmp - out
}

@test "what goes in length-prefixed comes out so" {
    printf '\5\0\0\0a\nb\0c\0\0\0\0\2\0\0\0\377\n' >in
    sub out -L -c 3 c
    local first=$sub_pid
    sub hex -x -c 3 c
    works "$WEIR" pub -L c <in
    ends "$first" 0
    ends "$sub_pid" 0
    cmp in out
    printf '610a620063\n\nff0a\n' | cmp - hex
    printf '\5\0\0\0abc' >cut
    refused 1 'standard input ends in the midst of message 1' "$WEIR" pub -L c <cut
    printf '\5\0' >cut
    refused 1 'in the midst of message 1' "$WEIR" pub -L c <cut
}

@test "JSON says what a message is" {
    [ "$WEIR_JSON" = 1 ] || skip "this weir writes no JSON"
    sub out -J -c 3 c
    printf 'a "b"\n\377\376\375\374\n\n' | "$WEIR" pub --type 7 c
    ends "$sub_pid" 0
    [ "$(jq -c 'del(.received, .session)' out)" = '{"sequence":0,"type":7,"size":5,"text":"a \"b\""}
{"sequence":1,"type":7,"size":4,"base64":"//79/A=="}
{"sequence":2,"type":7,"size":0,"text":""}' ]
    [ "$(jq -r .base64 out | sed -n 2p | base64 -d | od -An -tx1)" = ' ff fe fd fc' ]
    [ "$(jq -s 'map(.session) | unique | length' out)" = 1 ]
    [ "$(jq -c '.session | . > 0' out | uniq)" = true ]
    local now seen
    now=$(date +%s)
    seen=$(date -d "$(jq -r .received out | head -1)" +%s)
    [ "$seen" -ge $((now - 20)) ] && [ "$seen" -le "$now" ]
}

@test "a line is seen at once" {
    sub out c
    pub_open
    for i in 1 2 3; do
        echo "$i" >&5
        until_so has_lines out "$i"
    done
    exec 5>&-
    ends "$pub_pid" 0
    kill -TERM "$sub_pid"
    ends "$sub_pid" 0
}

@test "all of many, and of several publishers each in order" {
    sub out c
    for name in a b c; do
        seq -f "$name %.0f" 100000 >"in.$name"
        "$WEIR" pub --taken --ring 64K c <"in.$name" 3>&- &
        children+=($!)
    done
    for pid in "${children[@]:1}"; do ends "$pid" 0; done
    kill -INT "$sub_pid" # ignored: started in the background, as a shell without jobs does
    kill -TERM "$sub_pid"
    ends "$sub_pid" 0
    [ "$(wc -l <out)" -eq 300000 ]
    for name in a b c; do grep "^$name " out | cmp - "in.$name"; done
}

@test "a message larger than any buffer, in every form" {
    head -c 3000000 /dev/urandom >large
    sub raw --raw c -c 1
    local first=$sub_pid
    sub hex --hex c -c 1
    works "$WEIR" pub --ring 16M c large
    ends "$first" 0
    ends "$sub_pid" 0
    cmp large raw
    od -An -v -tx1 large | tr -d ' \n' | cmp - <(tr -d '\n' <hex)
}

@test "above the limit, and the option that cures it" {
    head -c 300000 /dev/zero | tr '\0' x >line
    refused 1 'line has 300000 bytes; .* 262136 at most: give --ring=2M' "$WEIR" pub c line
    refused 1 'line 1 of standard input has 1?[0-9]+ bytes; .* 262136 at most: give --ring=[0-9]M$' \
        "$WEIR" pub c <line
    printf '\340\223\4\0' >prefixed
    refused 1 'message 1 of standard input has 300000 bytes; .*--ring=2M' \
        "$WEIR" pub -L c <prefixed
    printf '\377\377\377\377' >prefixed
    refused 1 'no message has more than 4 GiB less 16 bytes' "$WEIR" pub -L c <prefixed
    refused 1 "message 1 of standard input begins with 'hell', .* 1819043176 .*is this --length-pref" \
        "$WEIR" pub -L c <<<hello
    [[ "$stderr" != *--ring* ]]
    printf '\340\223\4\100' >prefixed # as long, and no text
    refused 1 'has 1074041824 bytes; .*--ring=8G' "$WEIR" pub -L c <prefixed
    works "$WEIR" pub -q --ring=2M c line
    works "$WEIR" pub -q --ring=2M c <line
    { echo one && cat line; } >two
    sub out c -c 1
    refused 1 'line 2 of .*' "$WEIR" pub c <two
    [[ "$stderr" == *'1 message was published before'* ]]
    ends "$sub_pid" 0
    [ "$(cat out)" = one ]
}

@test "again and again" {
    printf '1' >file1
    printf '2' >file2
    sub out c -c 12
    seq 2 | works "$WEIR" pub --repeat 3 c
    works "$WEIR" pub -n 3 c file1 file2
    ends "$sub_pid" 0
    [ "$(tr -d '\n' <out)" = 121212121212 ]
    works "$WEIR" pub --repeat 1000000 c </dev/null
}

@test "standard input among the files, again and again" {
    printf 'file' >file
    sub out -L -c 6 c
    printf 'in\n' | works "$WEIR" pub --repeat 2 c - file
    printf 'in\n' | works "$WEIR" pub c - -
    ends "$sub_pid" 0
    printf '\3\0\0\0in\n\4\0\0\0file%.0s' 1 2 >expected
    printf '\3\0\0\0in\n%.0s' 1 2 >>expected
    cmp expected out
    subscribed=0
    sub out -L -c 2 c
    works "$WEIR" pub -n 2 c - </dev/null
    ends "$sub_pid" 0
    printf '\0\0\0\0\0\0\0\0' | cmp - out
    refused 1 'a message has 16376 at most' "$WEIR" pub --ring 64K -n 2 c file - < \
        <(head -c 16377 /dev/zero)
    [[ "$stderr" != *published* ]]
}

@test "more than --repeat keeps of standard input" {
    sub out c
    refused 1 'more than the 256 MiB that --repeat keeps' \
        "$WEIR" pub --repeat 2 c < <(yes "$(printf '%01000d' 1)" | head -c 270000000)
    kill -TERM "$sub_pid"
    ends "$sub_pid" 0
    [ ! -s out ] # not a message
}

@test "a rate is kept by the clock" {
    local before after
    sub out c -c 21
    before=$(date +%s%N)
    seq 21 | "$WEIR" pub --rate 40 c # the last one 500 ms after the first
    after=$(date +%s%N)
    ends "$sub_pid" 0
    [ $((after - before)) -ge 500000000 ]
    [ $((after - before)) -lt 5000000000 ]
    # One that nothing can keep is as fast as it goes.
    seq 500000 >many
    for _ in 1 2 3; do # the least of them: others that run only add
        before=$(date +%s%N)
        "$WEIR" pub --rate 1e9 c <many
        after=$(date +%s%N)
        [ $((after - before)) -ge 5000000000 ] || break
    done
    [ $((after - before)) -lt 5000000000 ]
}

@test "waiting for subscribers" {
    refused 1 "nobody had subscribed to 'c' within 0.1 s" \
        "$WEIR" pub --wait-for 1 --wait 0.1 c </dev/null
    refused 1 'nobody had subscribed' "$WEIR" pub -s 1 -w 0 c </dev/null
    refused 1 'was made for 64, .*; who makes it for more says --subscribers-max=100$' \
        "$WEIR" pub -s 100 -w 0 c </dev/null
    refused 1 'nobody had subscribed' "$WEIR" pub -s 100 --subscribers-max=100 -w 0 c </dev/null
    sub none c
    refused 1 "1 of 2 had subscribed to 'c' within 0.1 s" "$WEIR" pub -s 2 -w 0.1 c </dev/null
    stop "$sub_pid"
    refused 1 "1 had subscribed to 'c' within 0.1 s, and not all of them have attached" \
        "$WEIR" pub -s 1 -w 0.1 c </dev/null
    kill -CONT "$sub_pid"
    end_children
    children=()
    subscribed=0
    echo hello | "$WEIR" pub --wait-for 2 c 3>&- &
    children+=($!)
    "$WEIR" sub -c 1 c >one 3>&- &
    children+=($!)
    "$WEIR" sub -c 1 c >two 3>&- &
    children+=($!)
    for pid in "${children[@]}"; do ends "$pid" 0; done
    [ "$(cat one two)" = $'hello\nhello' ]
}

# A publisher of c waits for the one that is there.
is_waited_for() {
    "$WEIR" info -q c 2>/dev/null | grep -q '^publisher .* asleep '
}

@test "taken is written; and it is told who has not taken" {
    sub out c
    echo hello | works "$WEIR" pub --taken c
    [ "$(cat out)" = hello ]
    stop "$sub_pid"
    echo lost | "$WEIR" pub --taken c 2>err 3>&- &
    local pub=$!
    until_so is_waited_for # else it may find nobody
    kill -KILL "$sub_pid"
    ends "$pub" 1
    grep -q "left, or was killed, before it had taken everything" err
}

@test "a lossy one that has not attached misses all, and pub says so" {
    sub out --lossy c
    stop "$sub_pid"
    run --separate-stderr "$WEIR" pub c <<<gone
    [ "$status" -eq 0 ]
    [[ "$stderr" == "weir pub: a subscriber of 'c' has not attached"*"gets nothing, and is told nothing" ]]
    works "$WEIR" pub -q c <<<gone
    kill -CONT "$sub_pid"
    works "$WEIR" pub --taken --wait-for 1 c <<<there
    until_so has_lines out 1
    [ "$(cat out)" = there ]
}

@test "who is waited for is told, once" {
    sub out c
    stop "$sub_pid"
    seq 3 | "$WEIR" pub c 2>err 3>&- &
    local pub=$!
    children+=("$pub")
    until_so has_lines err 1
    grep -Eqx "weir pub: waiting for subscriber 0 of 'c' \\(pid $sub_pid, [^,]+, stopped\\) to attach this publisher's ring; 'weir top' shows more" err
    seq 3 | "$WEIR" pub -q c 2>quiet 3>&- &
    local quiet=$!
    kill -CONT "$sub_pid"
    ends "$pub" 0
    ends "$quiet" 0
    has_lines out 6 || until_so has_lines out 6
    [ "$(wc -l <err)" -eq 1 ]
    [ ! -s quiet ]
}

# refused_of PATTERN FILES PUB_ARGUMENT...: 'pub' of what cat writes of these, piece by piece. It waits 0.2 s
# for the next one: a loaded machine may not run cat for so long, but twice at most.
late=0
refused_of() {
    local pattern=$1 files=$2
    shift 2
    # shellcheck disable=SC2086
    until refused 1 "$pattern" "$WEIR" pub c "$@" < <(cat $files); do
        [[ "$stderr" == *' has at least '* ]] && [ "$late" -lt 2 ] || return 1
        late=$((late + 1))
    done
}

@test "a message that is too long names the ring that suffices, once it has ended" {
    head -c 1500000 /dev/zero | tr '\\0' x >long
    echo >end
    for _ in 1 2; do # who does not wait at all is late often, and not always
        # No end of a line follows, or much does.
        refused_of 'line 1 of standard input has 1500000 bytes; .* 262136 at most: give --ring=8M$' long
        refused_of 'line 1 of standard input has 1500000 bytes; .* give --ring=8M$' 'long end long'
        refused_of 'standard input has 1500000 bytes; .* give --ring=8M$' long -
    done
    # Its end does not come. All before that is there: the pipe has room for it.
    mkfifo endless
    exec 6<>endless
    python3 -c 'import fcntl; fcntl.fcntl(6, 1031, 1 << 20) # F_SETPIPE_SZ'
    head -c 300000 long >&6
    refused 1 'has at least 300000 bytes; .* give --ring=2M, or more$' "$WEIR" pub c <&6
    exec 6>&-
    "$WEIR" pub --ring=8M c <long 2>/dev/null
}

@test "that nobody was there for any message is told, and -q silences it" {
    run --separate-stderr "$WEIR" pub nobody <<<hi
    [ "$status" -eq 0 ]
    [ "$stderr" = "weir pub: nobody had subscribed: 1 message went to nobody (--wait-for 1 waits)" ]
    run --separate-stderr "$WEIR" pub --repeat 3 nobody <<<hi
    [ "$status" -eq 0 ]
    [[ "$stderr" == *" 3 messages went to nobody"* ]]
    works "$WEIR" pub -q nobody <<<hi
    works "$WEIR" pub nobody </dev/null
    # One that has come for the second, or left after the first, was somebody.
    has_sent_one() { "$WEIR" info --json c 2>/dev/null | grep -q '"messages": 1,'; }
    pub_open
    echo lost >&5
    until_so has_sent_one # else that is the one which is read
    sub out -c 1 c
    echo read >&5
    ends "$sub_pid" 0
    echo lost >&5
    exec 5>&-
    ends "$pub_pid" 0
}

@test "taken by nobody, since nobody was there, is told as that" {
    refused 1 "nobody has subscribed to 'never': --wait-for 1 waits for somebody" \
        "$WEIR" pub --taken never <<<hi
    # Who has left before there was anything to take was there, and is not waited for.
    sub out -c 1 c
    works "$WEIR" pub --wait-for 1 --taken c <<<hi
    ends "$sub_pid" 0
}

# A publisher waits for both, and then for what is written into the pipe "in".
with_end() {
    mkfifo in
    "$WEIR" pub --wait-for 2 c <in 3>&- &
    pub_pid=$!
    exec 5>in
    "$WEIR" sub c >on 2>on.err 3>&- 5>&- &
    on_pid=$!
    "$WEIR" sub c --until-end >end 2>end.err 3>&- 5>&- &
    end_pid=$!
    children+=("$pub_pid" "$on_pid" "$end_pid")
    echo before >&5
    until_so has_lines on 1
    until_so has_lines end 1
}

has_a_subscriber() {
    "$WEIR" info "$1" 2>/dev/null | grep '^subscriber' >/dev/null
}

@test "the end of a publisher that had nothing to say is noticed, too" {
    local round before again=0
    for round in {1..20}; do
        "$WEIR" sub --until-end c >out 2>out.err 3>&- &
        sub_pid=$!
        children+=("$sub_pid")
        until_so has_a_subscriber c
        while before=${EPOCHREALTIME/[.,]/}; do
            works "$WEIR" pub c </dev/null
            # It gives the subscriber 0.2 s. A loaded machine may not run one for so long, but not often.
            [ $((${EPOCHREALTIME/[.,]/} - before)) -ge 200000 ] && [ "$again" -lt 3 ] &&
                has_a_subscriber c || break
            again=$((again + 1))
        done
        ends "$sub_pid" 0
    done
    [ ! -s out ]
}

@test "the end of the last publisher, only when asked for" {
    with_end
    exec 5>&-
    ends "$pub_pid" 0
    ends "$end_pid" 0
    echo again | "$WEIR" pub c
    until_so has_lines on 2
    kill -TERM "$on_pid"
    ends "$on_pid" 0
    [ "$(cat on)" = $'before\nagain' ]
    [ "$(cat end)" = before ]
    [ ! -s on.err ]
}

@test "a publisher that is killed" {
    with_end
    kill -KILL "$pub_pid"
    exec 5>&-
    ends "$end_pid" 1
    grep -q "the last publisher of 'c' was killed, or ended without weir_publisher_close()" end.err
    echo after | "$WEIR" pub c
    until_so has_lines on 2
    kill -TERM "$on_pid"
    ends "$on_pid" 0
    grep -q 'waiting for another one' on.err
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "no message for so long" {
    works timeout 20 "$WEIR" sub --timeout 0.2 c
    [ -z "$output" ]
    works "$WEIR" sub -t 0 c
}

@test "nobody reads what it prints" {
    (
        "$WEIR" sub c 2>err 3>&- || echo $? >status
    ) | head -1 >out &
    echo hello | "$WEIR" pub --wait-for 1 --wait 20 c
    wait # it notices that head has gone, though nothing comes any more
    [ "$(cat out)" = hello ]
    [ "$(cat status)" = 141 ]
    [ ! -s err ]
    [ -z "$("$WEIR" list -w --noheadings 2>/dev/null)" ] # it has left in order
    subscribed=0
    "$WEIR" sub c >/dev/full 2>err 3>&- &
    children+=($!)
    echo hello | "$WEIR" pub --wait-for 1 --wait 20 c
    ends "$!" 1
    grep -q 'No space left on device' err
}

@test "interrupted while it waits for whatever" {
    mkfifo in full
    exec 5<>in 6<>full
    "$WEIR" pub c <in 3>&- & # for standard input
    children+=($!)
    "$WEIR" pub --wait-for 1 other </dev/null 3>&- & # for subscribers
    children+=($!)
    "$WEIR" sub third >full 3>&- & # to write
    children+=($!)
    seq 1000000 | "$WEIR" pub --wait-for 1 --ring 64K third 3>&- & # for room
    children+=($!)
    "$WEIR" pub --rate 0.001 fourth < <(seq 2) 3>&- & # for its turn
    children+=($!)
    until [ "$("$WEIR" list -w --noheadings -o NAME | sort | tr '\n' ' ')" = \
        'c fourth other third ' ]; do read -rt 0.01 <> <(:) || true; done
    until_so has_a_subscriber third # which catches signals by then
    until [ "$(grep -c channel <("$WEIR" list -w --noheadings -o KIND))" -eq 4 ]; do :; done
    read -rt 0.2 <> <(:) || true # so that most of them wait; whether they do, it must go right
    kill -TERM "${children[@]}"
    for i in 0 1 3 4; do ends "${children[i]}" 143; done
    ends "${children[2]}" 0
    exec 5>&- 6>&-
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

# A script must not take it for done.
@test "interrupted before the end that was asked for, sub and tap end by the signal" {
    mkfifo in
    "$WEIR" pub c <in 3>&- &
    local pub=$!
    exec 5>in
    sub one --count 3 c
    sub two --until-end c
    sub three --count 1 c
    sub four c
    echo a >&5
    ends "${children[2]}" 0
    for file in one two four; do until_so grep -q a "$file"; done
    kill -TERM "${children[0]}"
    ends "${children[0]}" 143
    grep -qx 'weir sub: interrupted after 1 of 3 messages' one.err
    kill -TERM "${children[1]}" "${children[3]}"
    ends "${children[1]}" 143
    ends "${children[3]}" 0
    children=("$pub")
    "$WEIR" tap -q --from oldest --count 2 c >tapped 2>tapped.err 3>&- 5>&- &
    children+=("$!")
    "$WEIR" tap --from oldest c >other 3>&- 5>&- &
    children+=("$!")
    for file in tapped other; do until_so grep -q a "$file"; done
    kill -TERM "${children[1]}" "${children[2]}"
    ends "${children[1]}" 143
    ends "${children[2]}" 0
    [ ! -s tapped.err ]
    exec 5>&-
    ends "${children[0]}" 0
    children=()
}

# The first signal cuts a write(2) short; nothing but another one ends the next.
@test "interrupted in a message that nobody reads on" {
    mkfifo full
    exec 6<>full
    head -c 250000 /dev/zero >large
    "$WEIR" sub --raw c >full 3>&- &
    children+=($!)
    "$WEIR" pub --wait-for 1 --wait 20 c large
    [ "$(head -c 1 <&6 | od -An -tx1)" = ' 00' ]
    kill -TERM "${children[0]}"
    ends "${children[0]}" 0
    exec 6>&-
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "killed, it leaves nothing" {
    for i in 1 2 3; do
        mkfifo "in$i"
        sub "out$i" c
        "$WEIR" pub c <"in$i" 3>&- &
        children+=($!)
    done
    exec 5>in1 6>in2 7>in3
    kill -KILL "${children[@]}"
    wait
    children=()
    exec 5>&- 6>&- 7>&-
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

@test "weir info shows the members of a channel" {
    sub one c
    sub two c
    pub_open
    seq 3 >&5
    until_so has_lines one 3
    until_so has_lines two 3
    # What is written is given back only then.
    shows() {
        "$WEIR" info -q c >info
        grep -Eqx "$1" info
    }
    until_so shows ' +1 +0 attached +48B +0B +0 +0 +0B no'
    stop "$sub_pid"
    seq 2 >&5
    until_so has_lines one 5
    until_so shows ' +0 +0 attached +80B +0B +0 +0 +0B no'
    grep -Eq "^publisher +0 +$pub_pid .* alive +shown +1M +5 +80B +yes +no " info
    grep -Eq "^subscriber +1 +$sub_pid .* alive +shown .* 32B " info
    grep -Eqx " +0 +0 attached +80B +0B +0 +0 +0B no" info
    grep -Eqx " +1 +0 attached +48B +32B +2 +0 +0B yes" info
    if [ "$WEIR_JSON" = 1 ]; then
        "$WEIR" info -qJ c >json
        [ "$(jq -c '[.members[] | [.role, .slot, .life, .messages, .lag]]' json)" = \
            '[["publisher",0,"alive",5,null],["subscriber",0,"alive",5,0],["subscriber",1,"alive",3,32]]' ]
        [ "$(jq -c '[.members[] | [.used, .slowest, .missed, .evictions]]' json)" = \
            '[[32,1,null,0],[null,null,0,null],[null,null,0,null]]' ]
        [ "$(jq -c '[.readings[] | [.behind, .slowest]]' json)" = '[[0,false],[2,true]]' ]
        jq -e '.members | map(.waits, .sleeps, .wakes, .looks, .reaped, .refusals) |
            all(. >= 0)' json
        [ "$(jq -c '.readings[1] | [.subscriber, .publisher, .reading, .released, .lag]' json)" = \
            '[1,0,"attached",48,32]' ]
    fi
    kill -CONT "$sub_pid"
    exec 5>&-
    ends "$pub_pid" 0
    until_so has_lines two 5
}

@test "weir info and weir top show what a subscriber holds" {
    sub one c
    "$WEIR_BUILD/tests/keep" c 3 3>&- &
    children+=("$!")
    "$WEIR" sub --lossy c >two 3>&- &
    children+=("$!")
    "$WEIR" pub --wait-for 3 --wait 20 c </dev/null
    pub_open
    seq 100 104 >&5
    until_so has_lines one 5
    until_so has_lines two 5
    local keeper
    shows_held() {
        "$WEIR" info -q c >info
        grep -Eq "^ +([0-9]) +[0-9] attached +80B +0B +0 +3 +48B yes" info &&
            grep -Eq "^ +[0-9] +[0-9] attached +80B +0B +0 +0 +0B no" info &&
            grep -Eq "^ +[0-9] +[0-9] attached +80B +0B +0 +- +- no" info # lossy: it tells nobody
    }
    until_so shows_held
    keeper=$(sed -nE 's/^ +([0-9]) .* 3 +48B yes$/\1/p' info)
    grep -Eq "^publisher .* $keeper " info
    "$WEIR" top -1i 0.05 -s held c >top
    grep -Eq '^CHANNEL .* RING +HELD +DROPS ' top
    sed -n 2p top | grep -Eq "^c +sub $keeper .* 0% +48B +0 "
    grep -Eq "^c +pub [0-9] .* 0% +- +0 " top
    if [ "$WEIR_JSON" = 1 ]; then
        "$WEIR" info -qJ c | jq -e --argjson keeper "$keeper" '
            (.readings[] | select(.subscriber == $keeper) | [.holds, .held, .lag, .slowest]) ==
                [3, 48, 0, true] and
            ([.members[] | select(.role == "subscriber") | .held] | sort) == [null, 0, 48] and
            (.members[] | select(.role == "publisher") | [.used, .slowest]) == [0, $keeper]'
        "$WEIR" top -1Ji 0.05 c | jq -e '
            [.members[] | [.holds, .held]] | sort == [[null, null], [null, null], [0, 0], [3, 48]]'
    fi
    exec 5>&-
    ends "$pub_pid" 0
}

@test "a run directory without room, or that nobody may write into" {
    alone
    mkdir full shut
    mount -t tmpfs -o size=4k,mode=0700 tmpfs full 2>/dev/null || skip "nothing can be mounted"
    cat /dev/zero >full/all 2>/dev/null || true
    WEIR_DIR=$PWD/full refused 1 'No space left on device: make room there, or set WEIR_DIR' \
        "$WEIR" pub c </dev/null
    WEIR_DIR=$PWD/full refused 1 'No space left on device: make room there' "$WEIR" sub c
    umount full
    mount -t tmpfs -o ro,mode=0700 tmpfs shut
    WEIR_DIR=$PWD/shut refused 1 'Read-only file system: set WEIR_DIR to a directory that can' \
        "$WEIR" sub c
    umount shut
    touch file
    WEIR_DIR=$PWD/file refused 1 'run directory .*file: Not a directory$' "$WEIR" pub c </dev/null
}

@test "called wrongly" {
    refused 2 'which CHANNEL' "$WEIR" pub
    refused 2 'which CHANNEL' "$WEIR" sub
    refused 2 "'d' is too much" "$WEIR" sub c d
    refused 2 'name' "$WEIR" pub ''
    refused 2 "name '/c': a name does not begin with '/': leave it out" "$WEIR" sub /c
    refused 2 "name 'c/': a name does not end with '/': leave it out" "$WEIR" tap c/
    refused 2 "name 'a//c': two '/' follow each other, at byte 1" "$WEIR" pub a//c
    refused 2 "name '../c': no part of a name may be '..'" "$WEIR" sub ../c
    refused 2 "name 'a/.': no part of a name may be '.'" "$WEIR" top a/.
    refused 2 'byte 3 of the name is 0x1b: only' "$WEIR" pub $'/a/\e[2J' # which is not shown
    refused 2 'one of them at most' "$WEIR" sub --raw --hex c
    refused 2 "--count '0': too small: 1 to" "$WEIR" sub -c 0 c
    refused 2 "--timeout 'x'" "$WEIR" sub -t x c
    refused 2 "--type '65536': too large: 0 to 65535" "$WEIR" pub -t 65536 c
    refused 2 "--rate '0'" "$WEIR" pub --rate 0 c
    refused 2 "--repeat 'x': not a number" "$WEIR" pub --repeat x c
    refused 2 "--ring '3M': a power of two" "$WEIR" pub --ring 3M c
    refused 2 "--ring '4K': a power of two" "$WEIR" pub --ring 4K c
    refused 2 '--wait needs --wait-for' "$WEIR" pub --wait 1 c
    refused 2 'a FILE is a message' "$WEIR" pub -L c file
    refused 2 'unrecognized option' "$WEIR" pub --lossless c
    refused 1 'cannot read missing: No such file' "$WEIR" pub c missing
    refused 1 'cannot read .: Is a directory' "$WEIR" pub c .
    [ -z "$("$WEIR" list -w --noheadings)" ]
}

# What was published before is there as long as its publisher is.
@test "weir sub --from: the oldest, so many back, or now" {
    pub_open
    seq 5 >&5
    "$WEIR" sub --from -5 -c 5 -t 20 c >out || true
    while [ "$("$WEIR" sub --from oldest -c 5 -t 0.2 c 2>/dev/null | wc -l)" -lt 5 ]; do :; done
    seq 5 | cmp - <("$WEIR" sub --from oldest -c 5 c)
    seq 4 5 | cmp - <("$WEIR" sub --from -2 -c 2 c)
    seq 4 5 | cmp - <("$WEIR" sub --lossy --from=-2 -c 2 c)
    [ -z "$("$WEIR" sub --from now -t 0.2 c)" ]
    exec 5>&-
    ends "$pub_pid" 0
    refused 2 "--from 'then': oldest, now or -N" "$WEIR" sub --from then c
    refused 1 'a lag of 2097152 bytes at most' "$WEIR" pub --lag-max 2M c </dev/null
}

# Nobody who is stopped holds it up; what was missed is said, and adds up.
@test "weir pub --lag-max and weir sub --lossy: nobody is waited for" {
    for options in '--lossy' ''; do
        # shellcheck disable=SC2086
        "$WEIR" sub $options --json -e c >out 2>said &
        local subscriber=$!
        while [ -z "$("$WEIR" list -w --noheadings)" ]; do :; done
        local lag=''
        [ -n "$options" ] || lag='--lag-max=64K'
        mkfifo "in$options"
        # shellcheck disable=SC2086
        "$WEIR" pub --wait-for 1 --ring 64K $lag c <"in$options" 2>told &
        local publisher=$!
        exec 4>"in$options"
        echo first >&4
        while ! grep -q first out; do :; done
        stop "$subscriber"
        seq 100000 >&4
        exec 4>&-
        ends "$publisher" 0
        kill -CONT "$subscriber"
        ends "$subscriber" 0
        [ "$(jq -s 'length + (map(.missed // 0) | add)' out)" -eq 100001 ]
        [ "$(jq -s 'map(.missed // 0) | add' out)" -gt 0 ]
        grep -q 'messages were missed' said
    done
}

# Each message is of one letter, so that one of two messages would be seen. Stopped again and again,
# it is stopped in the midst of a copy, and overtaken, many times.
@test "what a publisher that waits for nobody overwrites is not printed, and counted" {
    cat >whole.py <<'END'
import sys
count = 0
while message := sys.stdin.buffer.read(200000):
    if message != message[:1] * 200000:
        sys.exit(f"message {count} is of several")
    count += 1
print(count)
END
    for letter in a b c d e f g; do head -c 200000 /dev/zero | tr '\0' "$letter" >"$letter"; done
    mkfifo pipe keys
    for lossy in '' --lossy; do
        local begin=$SECONDS
        # One that says nothing, so that it is there until all the rest is over.
        "$WEIR" pub c <keys 3>&- &
        local idle=$!
        children+=("$idle")
        exec 5>keys
        until "$WEIR" info -q c 2>/dev/null | grep -q '^publisher'; do :; done
        python3 whole.py <pipe >count 3>&- 5>&- &
        local checker=$!
        # shellcheck disable=SC2086
        "$WEIR" sub --raw --until-end $lossy c >pipe 2>pipe.err 3>&- 5>&- &
        sub_pid=$!
        children+=("$sub_pid")
        "$WEIR" pub --wait-for 1 --repeat 4000 --lag-max 1 c a b c d e f g 3>&- 5>&- &
        local pub=$!
        children+=("$pub")
        while kill -0 "$pub" 2>/dev/null; do
            kill -STOP "$sub_pid"
            read -rt 0.005 <> <(:) || true
            kill -CONT "$sub_pid"
            read -rt 0.003 <> <(:) || true
        done
        ends "$pub" 0
        exec 5>&-
        ends "$idle" 0
        ends "$sub_pid" 0
        ends "$checker" 0
        # Of each gap, but not more than a remark a second: "N messages were missed".
        [ "$(grep -c missed pipe.err)" -le $((SECONDS - begin + 2)) ]
        [ "$(awk -v sum="$(cat count)" '/missed/ { sum += $3 } END { print sum }' pipe.err)" -eq 28000 ]
        [ "$(cat count)" -lt 28000 ]
    done
}

@test "for how many a channel is" {
    "$WEIR" sub --subscribers-max 2 --publishers-max 1 c >one 3>&- &
    children+=($!)
    until "$WEIR" info c >/dev/null 2>&1; do :; done # it makes the channel
    works "$WEIR" pub --wait-for 1 --wait 20 c </dev/null
    subscribed=1
    sub two c
    refused 1 'has 2 subscribers already.*who makes it may say for how many, to 4096' "$WEIR" sub c
    refused 1 'was made for 2 subscribers, not for 3' "$WEIR" sub --subscribers-max 3 c
    refused 1 'was made for 1 publisher, not for 2' "$WEIR" pub --publishers-max 2 c </dev/null
    refused 1 'this channel was made for 2, so wait for no more' "$WEIR" pub --wait-for 3 c </dev/null
    refused 2 "--publishers-max '0': too small: 1 to 4096" "$WEIR" pub --publishers-max 0 c
    refused 2 "--subscribers-max '4097': too large" "$WEIR" sub --subscribers-max 4097 c
}

@test "who comes second cannot make it lossy, and learns what to do" {
    sub out --lossy c
    refused 1 "made reliable, by whoever came first.*leave --lossy out.*'weir sub --lossy'" \
        "$WEIR" pub --lossy c </dev/null
    works "$WEIR" pub --wait-for 1 c <<<hello # until it has attached: who has not for 0.2 s is told of
    kill -TERM "$sub_pid"
    ends "$sub_pid" 0
    pub_open --lossy
    has_publisher() { "$WEIR" info -q c 2>/dev/null | grep -q '^publisher'; }
    until_so has_publisher # who comes first decides
    works "$WEIR" sub --timeout 0.1 c
    "$WEIR" info -q c | grep -Eqx ' +64 +64 +lossy +- +-'
    works "$WEIR" pub --lossy c </dev/null
    exec 5>&-
    refused 2 "--lag-max '0': 1 at least, which waits for nobody" "$WEIR" pub --lag-max 0 c
    refused 1 'never reached: the ring has 1048576; give a larger ring, or a smaller lag' \
        "$WEIR" pub --lag-max 2M c </dev/null
}

@test "a channel that is not there is called one" {
    for command in tap 'top --once' 'top --json'; do
        # shellcheck disable=SC2086
        refused 1 "there is no channel under name 'c': its first publisher or subscriber makes it" \
            "$WEIR" $command c
    done
}

# To subscribers that are there, every time, also from a publisher that is gone at once.
@test "echo x | weir pub c: so often it arrives" {
    local rounds=${PUBSUB_ROUNDS:-200}
    sub one c -c "$rounds"
    local first=$sub_pid
    sub two c -c "$rounds"
    for ((i = 1; i <= rounds; i++)); do
        echo "$i" | "$WEIR" pub c
    done
    ends "$first" 0
    ends "$sub_pid" 0
    seq "$rounds" | tee expected | cmp - one
    cmp expected two
}

@test "a publisher whose ring there is no room for: told once, and the others are read on" {
    ( ulimit -v 250000 && "$WEIR" --version >/dev/null ) || skip "this build wants more addresses than that"
    mkfifo small large
    "$WEIR" pub --taken c <small 3>&- &
    local first=$!
    children+=("$first")
    exec 5>small
    until_so is_there 1
    ( ulimit -v 250000 && exec "$WEIR" sub -c 3 c ) >out 2>err 3>&- &
    sub_pid=$!
    children+=("$sub_pid")
    until_so has_a_subscriber c
    echo one >&5
    until_so has_lines out 1
    # One that comes later: of those that were there the open would say it.
    "$WEIR" pub --ring 256M c <large 3>&- &
    children+=("$!")
    exec 6>large
    until_so has_lines err 1
    # It wakes to try again, once a slice.
    local before
    before=$(slept "$sub_pid")
    until_so has_slept "$sub_pid" $((before + 3))
    printf 'two\nthree\n' >&5
    ends "$sub_pid" 1
    [ "$(cat out)" = $'one\ntwo\nthree' ]
    [ "$(wc -l <err)" -eq 1 ]
    exec 5>&- 6>&-
    ends "$first" 0
}

# slept PID: how often it has waited in the kernel. has_slept PID N: so often, or more.
slept() {
    awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status"
}

has_slept() {
    [ "$(slept "$1")" -ge "$2" ]
}

# is_there N: so many publishers are members of c.
is_there() {
    [ "$("$WEIR" info -q c | grep -c '^publisher')" -eq "$1" ]
}

@test "that nobody came may be for another IPC namespace" {
    unshare -i true 2>/dev/null || skip "there is no other IPC namespace to be had"
    mkdir -m 0700 names
    export WEIR_DIR=$PWD/names
    run --separate-stderr "$WEIR" pub --wait-for 1 --wait 0 c </dev/null
    [ "$status" -eq 1 ]
    [ "$stderr" = "weir pub: nobody had subscribed to 'c' within 0 s" ]
    unshare -i "$WEIR" set elsewhere 1
    refused 1 "nobody had subscribed to 'c' within 0 s; other IPC namespaces, .* another channel$" \
        "$WEIR" pub --wait-for 1 --wait 0 c </dev/null
}
