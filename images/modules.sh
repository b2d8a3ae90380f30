# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Kernel modules for an initrd. Source this file.

PATH=$PATH:/usr/sbin:/sbin # modprobe and depmod, for an ordinary user

# copy_modules KERNEL TREE MODULE...
# Copies the modules, with everything they depend on, from what images/fetch-kernel left in KERNEL into
# TREE/lib/modules and indexes them. A name this kernel has not, or has built in, is skipped: one list serves all.
copy_modules() {
  local kernel=$1 tree=$2 version modules file
  shift 2
  version=$(ls "$kernel/lib/modules")
  modules=$tree/lib/modules/$version
  mkdir -p "$modules"
  for file in "$@"; do
    modprobe -d "$kernel" -S "$version" --ignore-install --show-depends "$file" 2>/dev/null || true
  done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
    install -D -m 644 "$file" "$modules/${file#*"/modules/$version/"}"
  done
  # A guest unpacks modules slower than it reads them, and not every modprobe can.
  find "$modules" -name '*.ko.xz' -exec xz -d {} +
  find "$modules" -name '*.ko.zst' -exec zstd -dq --rm {} +
  cp "$kernel/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$modules"
  depmod -b "$tree" "$version"
}
