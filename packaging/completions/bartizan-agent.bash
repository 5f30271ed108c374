# bash completion for bartizan-agent(8)
_bartizan_agent() {
    local word=$2 before=$3 command='' at
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            enrol | enroll | run | check | status | doctor | spool | help) command=${COMP_WORDS[at]} && break ;;
        esac
    done
    case $before in
        --config) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
        -o | --output) mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$word") && return ;;
        --server) mapfile -t COMPREPLY < <(compgen -A hostname -- "$word") && return ;;
        --token | --name) return ;;
    esac
    local words='--config --dir --help'
    case $command in
        '') words+=' --version enrol enroll run check status doctor spool help' ;;
        enrol | enroll) words+=' --server --token --name --replace --again' ;;
        status | doctor) words+=' --output' ;;
        spool) words+=' ls verify export --output --records --kind' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _bartizan_agent bartizan-agent
