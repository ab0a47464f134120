# SPDX-License-Identifier: MIT
# Completion of the weir command for bash: commands, options, objects, scenes and topics, all
# asked from the command itself.
# shellcheck shell=bash

_weir() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} weir=${COMP_WORDS[0]} words=''
    local before='' candidate
    COMPREPLY=()
    # To bash a colon ends a word (COMP_WORDBREAKS): what is typed of an object begins before it,
    # and what is put there begins behind it.
    candidate=${COMP_LINE:0:COMP_POINT}
    candidate=${candidate##*[[:space:]]}
    if [[ $candidate == [\"\']* ]]; then
        word=${candidate:1} # in quotes nothing does
    elif [[ $candidate == *:* && $COMP_WORDBREAKS == *:* ]]; then
        word=$candidate
        before=${candidate%"${candidate##*:}"}
        [[ ${candidate##*:} != *[=@]* ]] || return 0 # they end words, too
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("$weir" --help 2>/dev/null |
            sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')$'\n--help\n--version'
    elif [[ $word == -* ]]; then
        words=$("$weir" "$command" --help 2>/dev/null |
            sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p')
    else
        case $command in
        pub | sub | tap | top)
            words=$("$weir" list --weir --raw --noheadings --output=KIND,OBJECT 2>/dev/null |
                sed -n 's/^channel //p')
            ;;
        get | set | watch)
            words=$("$weir" list --raw --noheadings --output=KIND,OBJECT 2>/dev/null |
                sed -n '/^channel /d; s/^[^ ]* //p')
            ;;
        info | lock | read | recv | rm | sem | send | write)
            words=$("$weir" list --raw --noheadings --output=OBJECT 2>/dev/null)
            ;;
        help)
            words=$("$weir" --help 2>/dev/null |
                sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
            ;;
        demo) words=$("$weir" demo --list 2>/dev/null | sed 's/ .*//') ;;
        explain)
            words=$("$weir" explain 2>/dev/null | sed -n '3,$s/^  \([a-z_]*\)  .*/\1/p')
            ;;
        esac
    fi
    # No 'compgen -W': it expands its words, and others choose what their objects are called. For the same
    # reason none is offered that would not stand in the line as it is.
    while IFS= read -r candidate; do
        [[ $candidate == "$word"* && $candidate =~ ^[A-Za-z0-9_.,:/=%@+-]+$ ]] &&
            COMPREPLY+=("${candidate#"$before"}")
    done <<<"$words"
    # "=" ends an option that wants a value: nothing is put behind it.
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}

# Where nothing fits, the names of files.
complete -o default -F _weir weir
