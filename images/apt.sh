# shellcheck shell=bash disable=SC2034 # variables are for who sources this
# SPDX-License-Identifier: Apache-2.0
#
# A private apt: package lists and downloads below build/, the system's own untouched, no root needed.
# Source this file, then:
#   apt_open SUITE          make APT usable for SUITE; "default" is whatever the system itself is configured for
#   "${APT[@]}" download X  any apt-get command (APT_CACHE: any apt-cache command)
# The addresses of the archives are read from the system's own configuration, so mirrors and proxies just work.

APT_ROOT=${TOYVMM_APT:-${BUILD:-build}/apt}
APT_MAX_AGE_MINUTES=60 # older package lists may name files that have left the archive

# A terminal gets apt's own progress display, a log does not.
APT_QUIET=(-qq)
[ ! -t 2 ] || APT_QUIET=()

say() { printf '  %-7s %s\n' "$1" "$2" >&2; }
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# Writes the configuration of one private apt state. Hooks and extra index files (Contents, AppStream) that
# the system's configuration may ask for are for the system's own state: here they would only cost time.
apt_write_config() {
  local dir=$1 suite=$2
  mkdir -p "$dir/lists/partial" "$dir/archives/partial"
  : >"$dir/status" # nothing is installed: dependencies are resolved in full
  cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets;
Acquire::IndexTargets::deb::Packages {
  MetaKey "\$(COMPONENT)/binary-\$(ARCHITECTURE)/Packages";
  flatMetaKey "Packages"; ShortDescription "Packages"; Optional "0";
  Description "\$(RELEASE)/\$(COMPONENT) \$(ARCHITECTURE) Packages";
};
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::Ignore-Files-Silently { "."; }; // files of other kinds beside the sources are no news
Dir::State "$dir";
Dir::State::Lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir";
Dir::Cache::Archives "$dir/archives";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
CONF
  [ "$suite" = default ] && return
  printf 'Dir::Etc::SourceList "%s";\nDir::Etc::SourceParts "/dev/null";\nAPT::Default-Release "%s";\n' \
    "$dir/sources.list" "$suite" >>"$dir/apt.conf"
}

# Prints "address keyring" of the Debian archive this system uses, found in the lists of the default state.
apt_debian_archive() {
  local address entry keyring
  # shellcheck disable=SC2016 # these are apt's variables
  read -r address entry < <("${APT[@]}" indextargets --format '$(REPO_URI) $(SOURCESENTRY) $(ORIGIN) $(LABEL)' |
    sed -n 's/ Debian Debian$//p') || die "no Debian archive in this system's apt configuration"
  # One-line lists say [signed-by=FILE], .sources files say Signed-By: FILE. A key written out in place is skipped.
  keyring=$(sed -nE 's/^[^#]*[Ss]igned-[Bb]y[:=] *(\/[^] ]+).*/\1/p' "${entry%:*}" | head -n 1)
  printf '%s %s\n' "$address" "${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}"
}

apt_write_sources() {
  local file=$1 suite=$2 address keyring signed='' release
  read -r address keyring < <(apt_debian_archive)
  [ -r "$keyring" ] && signed="[signed-by=$keyring] "
  for release in "$suite" "${suite%-backports}"; do
    printf 'deb %s%s %s main\n' "$signed" "$address" "$release"
  done | sort -u >"$file"
}

apt_update() {
  local dir=$1 suite=$2
  find "$dir/updated" -mmin "-$APT_MAX_AGE_MINUTES" 2>/dev/null | grep -q . && return
  say APT "reading the package lists of ${suite/default/this system}"
  "${APT[@]}" -qq update >"$dir/update.log" 2>&1 || {
    cat "$dir/update.log" >&2
    die "cannot read the package lists of ${suite/default/this system}: is the network up?"
  }
  touch "$dir/updated"
}

apt_open() {
  local suite=$1 dir
  if [ "$suite" != default ]; then
    apt_open default
  fi
  mkdir -p "$APT_ROOT/$suite"
  dir=$(realpath "$APT_ROOT/$suite")
  exec 9>"$APT_ROOT/lock" # make -j opens the same state twice: one at a time
  flock 9
  if [ ! -e "$dir/apt.conf" ]; then
    [ "$suite" = default ] || apt_write_sources "$dir/sources.list" "$suite"
    apt_write_config "$dir" "$suite"
  fi
  APT=(apt-get -c "$dir/apt.conf")
  APT_CACHE=(apt-cache -c "$dir/apt.conf")
  APT_DIR=$dir
  apt_update "$dir" "$suite"
  flock -u 9
}
