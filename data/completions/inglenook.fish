# SPDX-License-Identifier: Apache-2.0
set -l commands ask search
complete -c inglenook -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c inglenook -n "not __fish_seen_subcommand_from $commands" -l new-conversation -d "Begin a new conversation"
complete -c inglenook -n "not __fish_seen_subcommand_from $commands" -l ask-about-file -d "Choose files to ask about"
complete -c inglenook -n "not __fish_seen_subcommand_from $commands" -l version -d "Print the version"
complete -c inglenook -s h -l help -d "Show help"
complete -c inglenook -l offline -d "Open no network socket"
complete -c inglenook -n "__fish_seen_subcommand_from ask" -l model -r -F -d "Model file or name"
complete -c inglenook -n "__fish_seen_subcommand_from ask" -l conversation -x -d "Continue a conversation"
complete -c inglenook -n "__fish_seen_subcommand_from $commands" -l document -r -F -d "Document to answer from"
complete -c inglenook -n "__fish_seen_subcommand_from $commands" -l json -d "Print JSON"
complete -c inglenook -n "__fish_seen_subcommand_from search" -s k -x -d "Number of passages"
complete -c inglenook -n "__fish_seen_subcommand_from search" -l history-file -r -F -d "Earlier messages"
