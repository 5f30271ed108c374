# fish completion for bartizan-agent(8)
set -l commands enrol enroll run check status doctor spool help
complete -c bartizan-agent -f
complete -c bartizan-agent -l config -r -F -d 'The configuration'
complete -c bartizan-agent -l dir -x -a '(__fish_complete_directories)' -d 'Where key, certificate and spool live'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a enrol -d 'Join a fleet'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a run -d 'Capture and send'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a check -d 'Is the configuration right?'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a status -d 'What the running agent says'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a doctor -d 'Try what the agent needs'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a spool -d 'What waits on this disk'
complete -c bartizan-agent -n "not __fish_seen_subcommand_from $commands" -a help -d 'Print help'
complete -c bartizan-agent -n '__fish_seen_subcommand_from enrol enroll' -l server -x -d 'The front port of the server'
complete -c bartizan-agent -n '__fish_seen_subcommand_from enrol enroll' -l token -x -d 'The join token, or -'
complete -c bartizan-agent -n '__fish_seen_subcommand_from enrol enroll' -l name -x -d 'The name of this host'
complete -c bartizan-agent -n '__fish_seen_subcommand_from enrol enroll' -l replace -d 'Take the place of a host of this name'
complete -c bartizan-agent -n '__fish_seen_subcommand_from enrol enroll' -l again -d 'Even if this host has joined already'
complete -c bartizan-agent -n '__fish_seen_subcommand_from status doctor' -s o -l output -x -a 'table json'
complete -c bartizan-agent -n '__fish_seen_subcommand_from spool' -a 'ls verify export'
