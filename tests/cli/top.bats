#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Goal: weir top says what the members of channels do: as lines, as JSON and on a screen that holds
#       its form, whatever the terminal's size; no member notices it.
# Method: traffic that is known, stopped and killed members; the screen in a terminal of tmux's.

load channels.bash

teardown() {
    [ -z "${socket:-}" ] || end_screen
    end_children
    remove_all
}

needs_json() {
    [ "$WEIR_JSON" = 1 ] || skip "built without jansson"
}

# json FILTER: whether it holds for what is so now.
json() {
    "$WEIR" top -1J -i 0.05 c | jq -e "$1" >/dev/null
}

@test "a full disk ends it, line by line as well" {
    by_lines_can || skip "there is no writing line by line to /dev/full"
    run --separate-stderr by_lines top -1 -i 0.05
    [ "$status" -eq 1 ]
    [[ "$stderr" == *'weir top: cannot write the output: '* ]]
    needs_json
    run --separate-stderr by_lines top --json -i 0.05
    [ "$status" -eq 1 ]
    [[ "$stderr" == *'weir top: cannot write the output: No space left on device' ]]
}

@test "one look as lines" {
    sub one c
    pub_open
    seq 3 >&5
    until_so has_lines one 3
    # All of it in one look: in another one it is, once a slice, awake for a moment.
    is_quiet() {
        "$WEIR" top --once --interval 0.05 c >look || return 1
        grep -Eqx "c +pub 0 +$pub_pid weir +0 +0B +0B +0% +- +0 awake" look &&
            grep -Eqx "c +sub 0 +$sub_pid weir +0 +0B +0B +0% +0B +0 polling" look
    }
    until_so is_quiet
    [ "$(head -n 1 look)" = "CHANNEL MEMBER     PID COMMAND  MSG/S  BYTE/S    LAG RING   HELD DROPS STATE   WAITS FOR" ]
    [ "$(wc -l <look)" -eq 3 ]
    # All channels, and none.
    [ "$("$WEIR" top -1i 0.05 | wc -l)" -eq 3 ]
    exec 5>&-
}

@test "whoever reads the lines has seen enough" {
    needs_json
    sub one c
    run --separate-stderr bash -c '"$0" top --json -i 0.05 c | head -n 1; exit "${PIPESTATUS[0]}"' \
        "$WEIR"
    [ "$status" -eq 141 ]
    [ "${#lines[@]}" -eq 1 ]
    [ "$stderr" = '' ]
    # And is not waited for: the next line comes in an hour.
    "$WEIR" top --json -i 3600 c > >(:) 3>&- &
    local top=$! status=0
    wait "$top" || status=$?
    [ "$status" -eq 141 ]
}

@test "whatever a command is called it is so in JSON, and in one column of the lines" {
    needs_json
    cp "$WEIR" 'Web \ Content'
    './Web \ Content' pub --wait-for 9 c </dev/null 3>&- &
    children+=("$!")
    until_so json '.members[0].command == "Web \\ Content"'
    until_so eval '"$WEIR" top -1 -i 0.05 c | grep -q "^c .* Web.x20.x5c.x20Content "'
}

@test "rates and totals are those of the traffic" {
    needs_json
    sub one c
    pub_open
    echo 0 >&5
    until_so has_lines one 1
    "$WEIR" top --json --interval 0.3 c >looks 3>&- &
    local top=$!
    children+=("$top")
    until_so has_lines looks 1
    seq 100 >&5
    until_so has_lines one 101
    local now
    now=$(wc -l <looks)
    until_so has_lines looks $((now + 2))
    kill -TERM "$top"
    wait "$top" || true
    # Whole lines, the last one with all: 101 messages, and rates that add up to what came meanwhile.
    jq -es '(last | [.members[].messages] == [101, 101]) and
        (last | [.members[].lag] == [0, 0]) and
        (map(.members[] | select(.role == "publisher") | .message_rate) | max > 0) and
        ([.[] | .seconds * (.members[] | select(.role == "publisher") | .message_rate)] |
            add | . > 90 and . < 110)' looks
    exec 5>&-
}

@test "who blocks whom" {
    needs_json
    sub one c
    pub_open --ring 64K
    echo 1 >&5
    until_so has_lines one 1 # attached
    stop "$sub_pid"
    yes | head -c 100000 >&5 2>/dev/null 3>&- &
    children+=("$!")
    until_so json '.members[] | select(.role == "publisher") |
        .need == "room" and .slowest == 0 and .activity == "asleep"'
    # Once a slice it is awake for a moment.
    is_told() { "$WEIR" top --once --interval 0.05 | grep -Eq "$1"; }
    until_so is_told '^c +pub 0 .* asleep  room: sub 0$'
    until_so is_told '^c +sub 0 .* stopped'
    "$WEIR" info -q c | grep -Eq '^subscriber .* stopped'
    kill -CONT "$sub_pid"
    until_so has_lines one 50000
    until_so json '.members | all(.lag == 0 and .use == 0 and .need == null)'
    exec 5>&-
}

@test "who has not attached blocks, also where the ring is empty" {
    needs_json
    sub one c
    stop "$sub_pid"
    pub_open
    echo 1 >&5
    until_so json '.members[] | select(.role == "publisher") | .need == "attach" and .slowest == 0'
    is_told() { "$WEIR" top --once --interval 0.05 | grep -Eq "$1"; }
    until_so is_told '^c +pub 0 .* asleep  attach: sub 0$'
    kill -CONT "$sub_pid"
    until_so has_lines one 1
    exec 5>&-
}

@test "the dead stand there until they are put out" {
    sub one c
    pub_open
    seq 3 >&5
    until_so has_lines one 3
    stop "$sub_pid"
    kill -KILL "$pub_pid"
    wait "$pub_pid" || true
    is_dead() { "$WEIR" top -1i 0.05 c | grep -Eq '^c +pub 0 .* dead'; }
    until_so is_dead
    kill -CONT "$sub_pid"
    is_gone() { ! "$WEIR" top -1i 0.05 c | grep -q 'pub 0'; }
    until_so is_gone
    exec 5>&-
}

@test "who stands in every slot is shown once, and costs no more" {
    needs_json
    local slots=1024 there
    coproc everywhere { exec "$WEIR_BUILD/tests/everywhere" c "$slots" 3>&-; }
    children+=("$everywhere_PID")
    read -r there <&"${everywhere[0]}"
    [ "$there" = there ]
    # The lane, the page, and what the one page says of each slot: nothing of it again and again.
    timeout 20 "$WEIR" top -1J -i 0.05 c >look
    jq -e --argjson slots "$slots" '.members | length == 2 * $slots and
        ([.[] | select(.state == "shown")] | map(.role) == ["publisher", "subscriber"]) and
        ([.[] | select(.state == "false")] | length == 2 * $slots - 2)' look
    timeout 20 "$WEIR" info -J c >look
    jq -e --argjson slots "$slots" '(.members | length == 2 * $slots) and
        (.readings | length == $slots and all(.subscriber == 0))' look
}

@test "called wrongly, and where there is nothing" {
    refused 2 "--sort 'size': it is channel" "$WEIR" top --sort size
    refused 2 "--interval '0': 0.05 to" "$WEIR" top -i 0
    refused 2 "--interval 'x': seconds" "$WEIR" top -i x
    refused 2 'name' "$WEIR" top ../c
    refused 2 'unrecognized option' "$WEIR" top --live
    refused 1 'no terminal: --once' "$WEIR" top
    refused 1 "'c'" "$WEIR" top --once c
    works "$WEIR" top --once -i 0.05
    [ "${#lines[@]}" -eq 1 ]
}

@test "where names cannot be seen, that is told once" {
    mkdir -m 1777 sticky
    export WEIR_DIR=$PWD/sticky
    run --separate-stderr "$WEIR" top --once -i 0.05
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [ "$(grep -c 'sticky' <<<"$stderr")" -eq 1 ]
    needs_json
    "$WEIR" top --json -i 0.05 >looks 2>said 3>&- &
    local top=$!
    children+=("$top")
    until_so has_lines looks 3
    kill -TERM "$top"
    wait "$top" || true
    [ "$(wc -l <said)" -eq 1 ]
    if command -v tmux >/dev/null && [ "${WEIR_SCREEN:-1}" = 1 ]; then
        screen 150 24 "$WEIR" top -i 0.1
        until_so shows 'sticky is sticky'
        run ! shows 'There is no channel'
    fi
}

screens=0 socket=''
terminal() {
    tmux -S "$socket" "$@"
}

end_screen() {
    terminal kill-server 2>/dev/null || true
    socket=''
}

# screen WIDTH HEIGHT COMMAND...: in a terminal of its own, whose shell tells the status.
#
# Most of them end because their terminal goes, and with that the kernel sends SIGCONT, which
# takes back the SIGSTOP that the leak checker waits for while its program ends: it would wait
# for ever. 'leak_check=1 screen ...' is for those that end before their terminal does.
screen() {
    command -v tmux >/dev/null || skip "there is no tmux"
    socket=tmux.$((++screens)) # another one: the server of the last may be about to end
    [ "${WEIR_SCREEN:-1}" = 1 ] || skip "built without ncurses"
    local width=$1 height=$2
    shift 2
    terminal -f /dev/null new-session -d -x "$width" -y "$height" \
        "LSAN_OPTIONS=detect_leaks=${leak_check:-0} $(printf '%q ' "$@"); echo \"status \$?\" >status; cat" 3>&-
}

keys() {
    terminal send-keys "$@"
}

# shows PATTERN: whether a line of the screen is like this.
shows() {
    terminal capture-pane -p | grep -Eq "$1"
}

# What a program has written to its terminal, the terminal may not have read when that one has ended.
shows_no() {
    ! shows "$1"
}

# Every line of the screen, as it is wide: nothing has run over into the next.
holds_its_form() {
    terminal capture-pane -p >picture
    [ "$(sed -n 1p picture | cut -c1-8)" = 'weir top' ] || return 1
    [[ "$(sed -n 3p picture)" =~ ^[A-Z~]+\ +MEMBER ]] || return 1
    [[ "$(tail -n 1 picture)" == 'q end '* ]] || return 1
    [ "$(grep -cE '(pub|sub) [0-9]' picture)" -eq "$1" ]
}

@test "the screen: rows, keys, and its end" {
    sub one c
    sub two c
    pub_open --ring 64K
    seq 3 >&5
    until_so has_lines two 3
    leak_check=1 screen 80 24 "$WEIR" top -i 0.1
    until_so shows "^c +pub 0 +$pub_pid +0 +0B +0B +0% +0 awake"
    until_so shows '^1 channel, 1 publisher, 2 subscribers, 0 messages/s, 0B/s$'
    until_so holds_its_form 3
    stop "$sub_pid"
    yes | head -c 100000 >&5 2>/dev/null 3>&- &
    children+=("$!")
    until_so shows '^c +pub 0 .* asleep  room: sub 1$'
    until_so shows '^c +sub 1 .* stopped'
    keys Right Right # bandwidth, lag
    until_so shows '^weir top  every 0.1 s  by lag$'
    is_first() { [[ "$(terminal capture-pane -p | sed -n 4p)" =~ $1 ]]; }
    is_last() { [[ "$(terminal capture-pane -p | sed -n 6p)" =~ $1 ]]; }
    until_so is_last 'sub 0 '
    keys r
    until_so shows 'by lag, reversed$'
    until_so is_first 'sub 0 '
    keys -l -
    until_so shows 'every 0.2 s'
    keys Space
    until_so shows 'STOPPED'
    kill -CONT "$sub_pid"
    until_so has_lines two 50003
    shows '^c +pub 0 .* (asleep|awake)  room: sub 1$' # as it was; once a slice it is awake
    keys Space
    until_so shows '^c +sub 1 .* polling'
    keys q
    until_so test -s status
    [ "$(cat status)" = 'status 0' ]
    until_so shows_no 'MEMBER' # the terminal is as it was
    exec 5>&-
}

@test "the screen: whatever its size" {
    local i
    sub one c
    for i in 1 2 3 4 5 6 7; do
        sub one$i c
    done
    screen 80 24 "$WEIR" top -i 0.1 --sort channel
    until_so holds_its_form 8
    local size
    for size in 120x30 60x24 40x12 25x24; do
        terminal resize-window -x "${size%x*}" -y "${size#*x}"
        until_so holds_its_form 8
    done
    # Where numbers have no room they are left out: a part of one would be another one.
    terminal resize-window -x 20 -y 24
    until_so shows '^~ MEMBER +MSG/S$'
    until_so shows '^c sub 7 +0$'
    terminal resize-window -x 80 -y 7
    until_so holds_its_form 3
    until_so shows 'rows 1 to 3 of 8$'
    keys Down
    until_so shows 'rows 2 to 4 of 8$'
    keys End
    until_so shows 'rows 6 to 8 of 8$'
    until_so shows '^c +sub 7'
    keys PageUp PageUp
    until_so shows 'rows 1 to 3 of 8$'
    # Too small for anything, and back.
    terminal resize-window -x 2 -y 1
    terminal resize-window -x 80 -y 24
    until_so holds_its_form 8
}

@test "the screen: a channel that is not there, in whole sentences" {
    screen 40 12 "$WEIR" top -i 0.1 c
    until_so shows "^there is no channel under name 'c': its$"
    until_so shows "^first publisher or subscriber makes it;$"
    until_so shows "^'weir list' shows what there is$"
    sub one c # and when it comes
    until_so holds_its_form 1
}

@test "the screen: a command whose name is not ASCII" {
    cp "$WEIR" 'é日本語'
    ./é日本語 pub --wait-for 9 c </dev/null 3>&- &
    children+=("$!")
    screen 90 12 env LC_ALL=C "$WEIR" top -i 0.1
    until_so shows '^c +pub 0 +[0-9]+ \?{4} +0 .* asleep +subscribers$'
    end_screen
    # With three of two places each the line is longer than the screen is wide.
    screen 83 12 env LC_ALL=C.UTF-8 "$WEIR" top -i 0.1
    until_so shows '^c +pub 0 .* asleep +subscri'
    until_so holds_its_form 1
    run ! shows '^[a-z]{1,5}$'
}

@test "a command whose name takes two places a character keeps the columns in line" {
    cp "$WEIR" '日本語'
    ./日本語 pub --wait-for 9 c </dev/null 3>&- &
    children+=("$!")
    sub one c
    # Both are there, and wait: the publisher has just been started.
    is_there() {
        "$WEIR" top --once --interval 0.05 c >sheet || return 1
        grep -Eq ' pub [0-9]+ .* asleep +subscribers$' sheet && grep -Eq ' sub [0-9]+ .* polling$' sheet
    }
    until_so is_there
    # What stands behind the command begins in one column: in places, not in characters.
    python3 - sheet <<'END'
import re, sys, unicodedata
rows = [line for line in open(sys.argv[1], encoding="utf-8") if " pub " in line or " sub " in line]
places = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in re.split(" (?:asleep|polling)", row)[0])
          for row in rows]
assert len(rows) == 2 and places[0] == places[1], (rows, places)
END
}

@test "the screen: the terminal goes, and nothing says so but that" {
    sub one c
    # shellcheck disable=SC2016 # for the shell inside
    screen 80 24 bash -c 'trap "" HUP; echo "$$" >pid; exec "$0" top' "$WEIR"
    until_so shows '^c +sub 0 '
    children+=("$(cat pid)")
    end_screen
    is_gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
    until_so is_gone
}

@test "the screen: colours, a signal, a terminal that is not known" {
    sub one c
    stop "$sub_pid"
    unset NO_COLOR # as it is where tests are run by a script
    is_coloured() { terminal capture-pane -ep | grep -q $'\e\[[0-9;]*3[1-7]m'; }
    screen 80 24 env TERM=screen-256color "$WEIR" top -i 0.1
    until_so is_coloured
    end_screen
    leak_check=1 screen 80 24 env TERM=screen-256color NO_COLOR=1 "$WEIR" top -i 0.1
    until_so shows 'stopped'
    run ! is_coloured
    local top
    top=$(terminal list-panes -F '#{pane_pid}')
    top=$(pgrep -P "$top" -f 'top -i 0.1')
    kill -TERM "$top"
    until_so test -s status
    [ "$(cat status)" = 'status 143' ]
    until_so shows_no 'MEMBER'
    rm status
    end_screen
    # By SIGQUIT, too, the terminal is as it was.
    # shellcheck disable=SC2016 # for the shell inside
    screen 80 24 bash -c 'ulimit -c 0; exec "$0" top -i 0.1' "$WEIR"
    until_so shows 'stopped'
    terminal send-keys 'C-\'
    until_so test -s status
    [ "$(cat status)" = 'status 131' ]
    until_so shows_no 'MEMBER'
    rm status
    end_screen
    screen 80 24 env TERM=nonsense "$WEIR" top
    until_so test -s status
    [ "$(cat status)" = 'status 1' ]
    until_so shows 'this terminal is not known'
    rm status
    end_screen
    screen 80 24 env TERM=dumb "$WEIR" top # it is known, and no cursor can be placed
    until_so test -s status
    [ "$(cat status)" = 'status 1' ]
    until_so shows 'this terminal cannot show a screen'
    end_screen
    end_children
    children=()
    screen 80 24 "$WEIR" top
    until_so shows "^There is no channel: 'weir pub NAME'"
}
