#!/bin/sh
# Loads and removes the rules of NAME.v4 and NAME.v6 for machines without nftables.
#
#   iptables.sh load NAME     loads them, or loads them again after an edit; a fault in either file changes nothing
#   iptables.sh remove        removes all of them, and nothing else
#   iptables.sh counters      prints what was dropped: IP version, reason, packets
#
# For each IP version the change is one transaction. Rules of others are not touched.
set -eu
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'iptables.sh: %s\n' "$*" >&2; }

# transaction COMMAND RULES: prints what leads from the rules that are there to those of the file
transaction() {
	saved=$("$1-save" -t mangle)
	there=$(printf '%s\n' "$saved" | sed -n 's/^:\(CLAWMESH-[A-Z]*\) .*/\1/p')
	wanted=$(sed -n 's/^:\(CLAWMESH-[A-Z]*\) .*/\1/p' "$2")
	echo '*mangle'
	# declares each chain: it is made, or emptied
	printf '%s\n' $there $wanted | sort -u | sed -n 's/..*/:& - [0:0]/p'
	printf '%s\n' "$saved" | sed -n 's/^-A \([A-Z]* -j CLAWMESH-[A-Z]*\)$/-D \1/p'
	rules "$2"
	# in front of the rules of others
	printf '%s\n' $wanted | sed -n 's/^CLAWMESH-\(PREROUTING\|INPUT\|FORWARD\|OUTPUT\|POSTROUTING\)$/-I \1 1 -j &/p'
	for chain in $there; do
		case " $(echo $wanted) " in *" $chain "*) ;; *) echo "-X $chain" ;; esac
	done
	echo COMMIT
}

# rules FILE: all lines but comments, declared chains and the frame
rules() { sed -e '/^#/d' -e '/^$/d' -e '/^:CLAWMESH-/d' -e '/^\*mangle$/d' -e '/^COMMIT$/d' "$1"; }

# apply V4 V6: both are tried before either is changed
apply() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	transaction iptables "$1" >"$work/v4"
	transaction ip6tables "$2" >"$work/v6"
	iptables-restore --wait 10 --noflush --test "$work/v4" && ip6tables-restore --wait 10 --noflush --test "$work/v6" ||
		{ say 'nothing was changed'; exit 1; }
	iptables-restore --wait 10 --noflush "$work/v4" && ip6tables-restore --wait 10 --noflush "$work/v6" ||
		{ say 'the rules may be in force for one IP version alone: load them again'; exit 1; }
}

counters() {
	for version in 4 6; do
		command=iptables
		[ $version = 4 ] || command=ip6tables
		"$command-save" -c -t mangle |
			sed -n 's/^\[\([0-9]*\):[0-9]*\] -A CLAWMESH-\([A-Z]*\) -j DROP$/IPv'$version' \2 \1/p' | tr A-Z a-z
	done
}

case "${1-}:$#" in
load:2)
	for file in "$2.v4" "$2.v6"; do
		# a file that is cut short would open what it should close
		[ -r "$file" ] && [ "$(sed -n '$p' "$file")" = COMMIT ] || { say "no whole file of rules: $file"; exit 1; }
		if rules "$file" | grep -v '^-A CLAWMESH-' >&2; then say "not a rule of a CLAWMESH chain, in $file"; exit 1; fi
	done
	apply "$2.v4" "$2.v6"
	;;
remove:1) apply /dev/null /dev/null ;;
counters:1) counters ;;
*)
	say 'usage: iptables.sh load NAME | remove | counters'
	exit 2
	;;
esac
