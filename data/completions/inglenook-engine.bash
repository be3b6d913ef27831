# SPDX-License-Identifier: Apache-2.0
# Made by build-aux/make-completions.py.
_inglenook_engine ()
{
  local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} words
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "inspect tokenize template generate logits bench perplexity imatrix quantize convert embed serve --help --version" -- "$word")
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
    inspect) words="--devices --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    tokenize) words="--text-file --parse-special --json" ;;
    template) words="--template-file --bos --eos --messages --vars --no-generation-prompt --json" ;;
    generate) words="--prompt --prompt-file --messages --vars --parse-special -n --greedy --seed --temperature --top-k --top-p --min-p --repetition-penalty --penalty-window --stop --cpu-sampling --ignore-eog --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    logits) words="--prompt --out --batch --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    bench) words="-p -n -d -b -r --without --batch --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    perplexity) words="--text-file --reference --reference-exact --chunks --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    imatrix) words="--text-file --chunks --progress --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    quantize) words="--imatrix --target-bytes --target-kl --measure --measure-text --measure-seconds --reference --predict --threads --progress --json" ;;
    convert) words="--threads --progress --json" ;;
    embed) words="--text-file --query --threads --device --gpu-layers --cpu-experts --gpu-memory --ctx --kv --load-as --force --exact --no-mmap --json" ;;
    serve) words="--fd --json" ;;
    *) words= ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$word")
}
complete -F _inglenook_engine inglenook-engine
