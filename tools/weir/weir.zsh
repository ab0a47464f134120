#compdef weir
# SPDX-License-Identifier: MIT
# Completion of the weir command for zsh: commands, options, objects, scenes and topics, all asked
# from the command itself.

_weir() {
    local weir=$words[1] command=$words[2] word=$words[CURRENT]
    local -a found values
    if (( CURRENT == 2 )); then
        found=(${(f)"$("$weir" --help 2>/dev/null |
            sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\)  *\(.*\)/\1:\2/p')"})
        _describe command found
        compadd -- --help --version
    elif [[ $word == -* ]]; then
        found=(${(f)"$("$weir" $command --help 2>/dev/null |
            sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p')"})
        # "=" ends an option that wants a value: nothing is put behind it.
        values=(${(M)found:#*=})
        compadd -- ${found:#*=}
        compadd -S '' -- $values
    else
        case $command in
        pub|sub|tap|top)
            found=(${(f)"$("$weir" list --weir --raw --noheadings --output=KIND,OBJECT 2>/dev/null |
                sed -n 's/^channel //p')"})
            ;;
        get|set|watch)
            found=(${(f)"$("$weir" list --raw --noheadings --output=KIND,OBJECT 2>/dev/null |
                sed -n '/^channel /d; s/^[^ ]* //p')"})
            ;;
        info|lock|read|recv|rm|sem|send|write)
            found=(${(f)"$("$weir" list --raw --noheadings --output=OBJECT 2>/dev/null)"})
            ;;
        demo) found=(${(f)"$("$weir" demo --list 2>/dev/null | sed 's/ .*//')"}) ;;
        explain)
            found=(${(f)"$("$weir" explain 2>/dev/null | sed -n '3,$s/^  \([a-z_]*\)  .*/\1/p')"})
            ;;
        esac
        compadd -- $found
        _files
    fi
}

_weir "$@"
