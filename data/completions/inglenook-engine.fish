# SPDX-License-Identifier: Apache-2.0
set -l commands inspect tokenize template generate logits bench perplexity imatrix quantize convert embed serve
complete -c inglenook-engine -n "not __fish_seen_subcommand_from $commands" -f -a "$commands"
complete -c inglenook-engine -l json -d "Print one JSON object"
complete -c inglenook-engine -l threads -x -d "Number of threads"
complete -c inglenook-engine -l device -x -a "auto cpu cuda" -d "Where to run"
complete -c inglenook-engine -l ctx -x -d "Tokens of context"
