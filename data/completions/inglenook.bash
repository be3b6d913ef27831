# SPDX-License-Identifier: Apache-2.0
_inglenook ()
{
  local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}
  local command= i words
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      ask|search) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $last in
    --document|--history-file|--model)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return ;;
    --collection|--conversation|-k) return ;;
  esac
  case $command in
    ask) words="--model --document --collection --conversation --json --help" ;;
    search) words="--document --collection -k --history-file --json --help" ;;
    *) words="ask search --offline --new-conversation --ask-about-file --version --help" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _inglenook inglenook
