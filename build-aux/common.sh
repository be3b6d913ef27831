# SPDX-License-Identifier: Apache-2.0
# Shared by ./run and ./check: what is missing, installing it after asking, building, starter models.
# Sourced by bash with $top set to the source root and $yes to 1 where nothing is to be asked.

say ()
{
  printf '%s\n' "$*"
}

die ()
{
  printf '%s\n' "$*" >&2
  exit 1
}

# Prints the milliseconds since the epoch.
now_ms ()
{
  local t=${EPOCHREALTIME/[.,]/}
  echo $((t / 1000))
}

seconds_since ()
{
  local d=$(( $(now_ms) - $1 ))
  printf '%d.%d s' $((d / 1000)) $((d % 1000 / 100))
}

have_probe ()
{
  local what=${1#*:}
  case $1 in
    cmd:*) command -v "$what" >/dev/null ;;
    pkg:*) pkg-config --exists "${what/>=/ >= }" 2>/dev/null ;;
    c:*) echo "#include <$what>" | cc -E -x c - >/dev/null 2>&1 ;;
    lib:*) [ -e "$(cc -print-file-name="lib$what.so")" ] ;;
    file:*) [ -e "$what" ] ;;
    py:*) python3 -c "import $what" 2>/dev/null ;;
    syspy:*) /usr/bin/python3 -c "import $what" 2>/dev/null ;;
    gi:*) /usr/bin/python3 -c "import gi; gi.require_version ('${what%-*}', '${what#*-}')" 2>/dev/null ;;
    *) die "build-aux/packages.txt: unknown probe '$1'" ;;
  esac
}

# find_missing SET...: fills the array missing with "probe debian fedora arch" lines.
find_missing ()
{
  local set probe names
  missing=()
  while read -r set probe names; do
    case " $* " in
      *" $set "*) have_probe "$probe" || missing+=("$probe $names") ;;
    esac
  done < <(grep -v -e '^#' -e '^$' "$top/build-aux/packages.txt")
}

package_manager ()
{
  local m
  for m in apt-get dnf pacman; do
    if command -v $m >/dev/null; then echo $m; return; fi
  done
}

as_root ()
{
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "This needs root and there is no sudo. As root, run: $*"
  fi
}

install_packages ()
{
  case $1 in
    apt-get)
      as_root apt-get update -q || return
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${@:2}" ;;
    dnf) as_root dnf install -y "${@:2}" ;;
    pacman) as_root pacman -Sy --needed --noconfirm "${@:2}" ;;
  esac
}

ask_first ()
{
  local answer
  [ "$yes" = 1 ] && return 0
  [ -t 0 ] || die "Not installing without a question: run again with --yes, or in a terminal."
  printf '%s [Y/n] ' "$1"
  read -r answer || return 1
  case $answer in
    ''|[yY]*) return 0 ;;
    *) return 1 ;;
  esac
}

# keep_named COLUMN: of the array missing, what has a package there; "-" is none, and tests that want it are skipped.
keep_named ()
{
  local line kept=()
  for line in "${missing[@]}"; do
    [ "$(awk -v c="$1" '{print $c}' <<<"$line")" = - ] || kept+=("$line")
  done
  missing=("${kept[@]}")
}

# require SET...: returns when everything of these sets is there; installs after asking.
require ()
{
  local manager column packages line
  find_missing "$@"
  [ ${#missing[@]} = 0 ] && return 0
  manager=$(package_manager)
  case $manager in
    apt-get) column=2 ;;
    dnf) column=3 ;;
    pacman) column=4 ;;
    *)
      say "Missing, and this system's package manager is not known to this script:"
      printf '  %s\n' "${missing[@]%% *}"
      die "Install them and run this again (build-aux/packages.txt has their names elsewhere)." ;;
  esac
  keep_named "$column"
  [ ${#missing[@]} = 0 ] && return 0
  packages=$(printf '%s\n' "${missing[@]}" | awk -v c=$column '{print $c}' | sort -u)
  say "Missing: these packages will be installed with $manager:"
  say "$packages" | paste -sd' ' | fold -sw 78 | sed 's/^/  /'
  ask_first "Install them?" || die "Nothing was installed."
  # shellcheck disable=SC2086 # a list of package names
  install_packages "$manager" $packages || die "Installing packages failed; see the lines above."
  hash -r
  find_missing "$@"
  keep_named "$column"
  for line in "${missing[@]}"; do
    say "Still missing or too old after installing: ${line%% *}" >&2
  done
  [ ${#missing[@]} = 0 ] || die "This system is too old for Inglenook (Debian 12, Ubuntu 24.04 or later)."
}

models_dir ()
{
  echo "${INGLENOOK_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/inglenook/models}"
}

# Everything is started from an installed tree inside the build, so that translations, icons and
# helpers are found the same way as in any other place.
installed=$top/build/root

# configure TREE OPTION...: sets a build tree up, again when the options changed or it cannot be used.
configure ()
{
  local tree=$1 log=$1.log how=()
  shift
  if [ -f "$tree/build.ninja" ]; then
    if [ "$(cat "$tree/.options" 2>/dev/null)" = "$installed $*" ]; then return 0; fi
    how=(--reconfigure)
  fi
  mkdir -p "$tree"
  meson setup "${how[@]}" "$tree" "$top" --prefix="$installed" "$@" >"$log" 2>&1 \
    || meson setup --wipe "$tree" "$top" --prefix="$installed" "$@" >"$log" 2>&1 \
    || { tail -n 30 "$log" >&2; die "Configuring failed; the whole log is $log"; }
  echo "$installed $*" >"$tree/.options"
}

# compile TREE [TARGET...]: silent when there is nothing to do.
compile ()
{
  local tree=$1 quiet
  shift
  ninja -C "$tree" -n "$@" 2>/dev/null | grep -q 'no work to do' && return 0
  [ -t 1 ] && quiet= || quiet=--quiet
  ninja -C "$tree" $quiet "$@" || die "Building in $tree failed; see the lines above."
}

# compile_and_install TREE: into $installed; silent when there is nothing to do.
compile_and_install ()
{
  if [ -f "$1/.installed" ] && ninja -C "$1" -n 2>/dev/null | grep -q 'no work to do'; then
    return 0
  fi
  rm -f "$1/.installed"
  compile "$1"
  meson install -C "$1" --no-rebuild --only-changed --quiet >"$1.log" 2>&1 \
    || { tail -n 20 "$1.log" >&2; die "Installing into $installed failed"; }
  touch "$1/.installed"
}
