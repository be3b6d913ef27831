# SPDX-License-Identifier: Apache-2.0
_inglenook_engine ()
{
  local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}
  local commands="inspect tokenize template generate logits bench perplexity imatrix quantize convert embed serve"
  local run="--threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as"
  local words
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
    return
  fi
  if [ "$last" = --device ]; then
    mapfile -t COMPREPLY < <(compgen -W "auto cpu cuda" -- "$word")
    return
  fi
  if [[ $word != -* ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  case ${COMP_WORDS[1]} in
    inspect) words="--devices $run" ;;
    tokenize) words="--text-file --parse-special" ;;
    template) words="--template-file --bos --eos --messages --vars --no-generation-prompt" ;;
    generate) words="--prompt --prompt-file --messages -n --greedy --seed --temperature --top-k --top-p --min-p --stop $run" ;;
    logits) words="--tokens --prompt --out $run" ;;
    bench) words="-p -n -d -b -r --without $run" ;;
    perplexity) words="--text-file --reference $run" ;;
    imatrix) words="--text-file --chunks --progress $run" ;;
    quantize) words="--imatrix --threads --progress" ;;
    serve) words="--fd" ;;
    embed) words="$run" ;;
    *) words= ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words --json --help" -- "$word")
}
complete -F _inglenook_engine inglenook-engine
