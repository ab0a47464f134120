#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: the examples from real use do what their heads say, also when their partners are killed, and
#       need no option of the compiler that examples/README.md does not name.
# Method: the programs, as unrelated processes; who has subscribed is asked by 'weir info'. Each file
#         is compiled with the plain compiler.

load common.bash

setup() {
    cd "$BATS_TEST_TMPDIR"
    examples=$WEIR_BUILD/examples
    children=()
}

teardown() {
    [ "${#children[@]}" -eq 0 ] || kill -KILL "${children[@]}" 2>/dev/null || true
    wait
    remove_all
}

# start COMMAND...: in the background, as the last of children.
start() {
    "$@" <&0 3>&- & # else the input would be /dev/null
    children+=("$!")
}

# subscribed CHANNEL N: until so many are.
subscribed() {
    until "$WEIR" info --json "$1" 2>/dev/null | jq -e --argjson count "$2" \
        '[.members[] | select(.role == "subscriber" and .state == "shown")] | length == $count' \
        >/dev/null
    do :; done
}

# serve [OPTION]...: the epoll server between the channels "in" and "out", and who hears what is said
# there, a sub with these options: $server and $sub.
serve() {
    start "$examples/epoll_server" socket in out
    server=$!
    subscribed in 1
    start "$WEIR" sub "$@" out >heard
    sub=$!
    subscribed out 1
}

# holds FILE PATTERN: until a line of it matches.
holds() {
    until grep -qs -- "$2" "$1"; do read -rt 0.01 <> <(:) || true; done
}

@test "each file compiles without an option" {
    for file in "$WEIR_SOURCE"/examples/*/*.c; do
        [ "${file##*/}" != embed.c ] || [ -x "$examples/embed" ] || continue # there is no libuv
        cc -std=gnu11 -Wall -Wextra -Werror -I"$WEIR_SOURCE/include" -fsyntax-only "$file"
    done
}

@test "fan-in: eight sensors, every reading of each, in order" {
    start "$examples/fan_in_hub" 8 >told
    local hub=$!
    subscribed sensors 1
    for sensor in {0..7}; do start "$examples/fan_in_sensor" "$sensor" 20000; done
    wait "$hub"
    [ "$(wc -l <told)" -eq 8 ]
    [ "$(grep -c '^sensor [0-7]: 20000 readings, mean 2[0-7].[45][0-9]$' told)" -eq 8 ]
}

@test "fan-in: a sensor that is killed holds up nobody, and what it had sent counts" {
    start "$examples/fan_in_hub" 3 >told
    local hub=$!
    subscribed sensors 1
    "$examples/fan_in_sensor" 0 100000000 1000 3>&- &
    local killed=$!
    children+=("$killed")
    until "$WEIR" info --json sensors | jq -e '[.members[].messages // 0] | max > 10' >/dev/null
    do :; done
    start "$examples/fan_in_sensor" 1 3000
    kill -KILL "$killed"
    wait "$killed" || true
    start "$examples/fan_in_sensor" 2 3000
    wait "$hub"
    grep -q '^sensor 1: 3000 ' told
    grep -q '^sensor 2: 3000 ' told
    [[ "$(head -n 1 told)" =~ ^'sensor 0: '([0-9]+)' readings' ]]
    [ "${BASH_REMATCH[1]}" -gt 10 ]
}

@test "camera: two see every picture, and a viewer what it has time for" {
    start "$examples/camera_consumer" >one
    local one=$!
    start "$examples/camera_consumer" >two
    local two=$!
    start "$examples/camera_viewer" 20 >three
    local three=$!
    subscribed camera 3
    works "$examples/camera_source" 300
    wait "$one"
    wait "$two"
    wait "$three"
    [ "$(cat one)" = "300 pictures, 0 bad" ]
    cmp one two
    [[ "$(cat three)" =~ ^([0-9]+)' shown, '([0-9]+)' overwritten while it looked, '([0-9]+)' missed'$ ]]
    local shown=${BASH_REMATCH[1]} torn=${BASH_REMATCH[2]} missed=${BASH_REMATCH[3]}
    echo "$shown shown, $torn overwritten, $missed missed"
    [ $((shown + torn + missed)) -eq 300 ]
    [ "$shown" -gt 0 ]
    [ "$missed" -gt 0 ]
}

@test "market: a slow reader is evicted and learns it, the others miss nothing" {
    start "$examples/market_reader" >fast
    local fast=$!
    start "$examples/market_reader" 400 >slow
    local slow=$!
    subscribed market 2
    # Five seconds. The ring holds three: the fast one may not run for so long, and is not evicted.
    works "$examples/market_feed" 2 40000 8000
    wait "$fast"
    wait "$slow"
    [ "$(cat fast)" = "40000 read, 0 missed, evicted 0 times" ]
    [[ "$(cat slow)" =~ ^([0-9]+)' read, '([0-9]+)' missed, evicted '([0-9]+)' times'$ ]]
    local read=${BASH_REMATCH[1]} missed=${BASH_REMATCH[2]} evicted=${BASH_REMATCH[3]}
    [ "$evicted" -gt 0 ]
    [ "$missed" -gt 0 ]
    [ $((read + missed)) -le 40000 ]
}

@test "log: the collector survives its writers, and has each line that was said to be sent" {
    start "$examples/log_collector" log file
    local collector=$! round writer
    subscribed log 1
    for round in {1..8}; do
        yes "round $round" | "$examples/log_writer" log >"said$round" 2>/dev/null 3>&- &
        writer=$!
        children+=("$writer")
        holds "said$round" .
        kill -KILL "$writer"
        wait "$writer" || true
    done
    "$examples/log_writer" log <<<$'the last\tone' >/dev/null
    kill -TERM "$collector"
    wait "$collector"
    for round in {1..8}; do
        # The last one may have been killed between its commit and its word.
        local said got
        said=$(grep -c "^round $round\$" "said$round")
        got=$(grep -c " round $round\$" file)
        [ "$got" -eq "$said" ] || [ "$got" -eq $((said + 1)) ]
    done
    [[ "$(tail -n 1 file)" =~ ^20[0-9-]+T[0-9:.]+'Z '[0-9]+' the last\x09one'$ ]]
}

@test "log: each who writes waits for a collector" {
    "$examples/log_writer" log <<<"early" >said 3>&- &
    local writer=$!
    children+=("$writer")
    start "$examples/log_collector" log file
    wait "$writer"
    kill -TERM "${children[1]}"
    wait "${children[1]}"
    [ "$(cat said)" = early ]
    grep -q ' early$' file
}

@test "epoll server: lines of clients to a channel, messages of a channel to clients" {
    serve --count 2
    python3 - <<'END'
import socket, subprocess, os
clients = []
for name in "ab":
    client = socket.socket(socket.AF_UNIX)
    client.connect("socket")
    client.sendall(b"from " + name.encode())
    client.sendall(b" here\n")
    clients.append(client)
while len(open("heard").readlines()) < 2:
    pass
subprocess.run([os.environ["WEIR"], "pub", "in"], input=b"to all\n", check=True)
for client in clients:
    file = client.makefile("rb")
    assert file.readline() == b"to all\n"
END
    wait "$sub"
    [ "$(sort heard)" = $'from a here\nfrom b here' ]
    wait "$server" # its channel has ended
    [ ! -e socket ]
}

@test "epoll server: a full ring stops the clients, and their lines wait" {
    serve
    kill -STOP "$sub"
    python3 - "$sub" <<'END'
import os, select, signal, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect("socket")
client.setblocking(False)
sent, stopped = 0, False
line = b"%06d " + b"x" * 1000 + b"\n"
rest = b""
while sent < 5000 or rest:
    try:
        if not rest:
            rest = line % sent
            sent += 1
        rest = rest[client.send(rest):]
    except BlockingIOError:
        # Not only slow: it does not read at all.
        if not stopped and not select.select([], [client], [], 1)[1]:
            stopped = True
            os.kill(int(sys.argv[1]), signal.SIGCONT)
assert stopped, "five megabytes went into a ring of one"
client.close()
END
    [ "$(wc -l <heard)" -le 5000 ]
    timeout 30 sh -c 'until [ "$(wc -l <heard)" -eq 5000 ]; do :; done'
    cut -c 1-6 heard | cmp - <(seq -f %06g 0 4999)
    kill -TERM "$sub" "$server"
    wait "$sub" "$server" || true
}

@test "epoll server: what a client has said comes, although it closes while the ring is full" {
    serve
    kill -STOP "$sub"
    python3 - "$server" <<'END'
import socket, sys, time
client = socket.socket(socket.AF_UNIX)
client.connect("socket")
client.settimeout(1)

def expect_idle(when):
    def ticks():
        fields = open("/proc/%s/stat" % sys.argv[1]).read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    time.sleep(1)
    assert ticks() - before < 30, "the server spins " + when

expect_idle("while nobody says anything")
sent = 0
try:
    while True: # short ones: the server's memory for the client is full, too
        client.sendall(b"%07d\n" % sent)
        sent += 1
except TimeoutError:
    pass # in the midst of none: eight bytes are taken whole or not at all
open("sent", "w").write(str(sent))
client.close()
expect_idle("while it waits for room")
END
    kill -CONT "$sub"
    timeout 20 sh -c 'until [ "$(wc -l <heard)" -ge "$(cat sent)" ]; do :; done'
    cmp heard <(seq -f %07g 0 $(($(cat sent) - 1)))
    kill -TERM "$sub" "$server"
    wait "$sub" "$server" || true
}

@test "epoll server: who does not read is let go, and the others hear all" {
    start "$examples/epoll_server" socket in out
    local server=$!
    subscribed in 1
    python3 - <<'END'
import os, socket, subprocess
deaf, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
for one in deaf, client:
    one.connect("socket")
lines = b"".join(b"%06d " % i + b"x" * 500 + b"\n" for i in range(3000))
pub = subprocess.Popen([os.environ["WEIR"], "pub", "in"], stdin=subprocess.PIPE)
file = client.makefile("rb")
for i, line in enumerate(lines.splitlines(True)): # step by step: this one keeps up
    pub.stdin.write(line)
    pub.stdin.flush()
    assert file.readline() == line, i
deaf.settimeout(10)
while deaf.recv(1 << 16): # what it has been told is there; then it is let go, while the server lives
    pass
pub.stdin.close()
assert pub.wait() == 0
assert file.readline() == b""
END
    wait "$server"
}

@test "embed: a channel among the sources of libuv's loop" {
    [ -x "$examples/embed" ] || skip "there is no libuv"
    mkfifo keys
    exec 7<>keys
    start "$examples/embed" c <keys >told
    local loop=$!
    subscribed c 1
    echo hello >&7
    holds told 'you said: hello'
    mkfifo more
    exec 6<>more
    "$WEIR" pub c <more 6>&- 7>&- &
    children+=($!)
    printf 'one\ntwo\nthree\n' >&6
    holds told '3 messages, 11 bytes' # by the timer: nothing has ended yet
    seq 100000 | "$WEIR" pub c 6>&-
    exec 6>&-
    wait "$loop"
    exec 7>&-
    [ "$(tail -n 1 told)" = "100003 messages, 488906 bytes" ]
}
