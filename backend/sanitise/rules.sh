# Applies the table of rules on standard input; see package sanitise. It is appended to a
# family's script, whose functions the table calls as "rule_NAME": each gets MODE and FREE
# in variables of that name, adds what it finds by "found PATH", and in the mode list
# changes nothing.
#   MODE remove: takes out; list: only counts    FREE see family.FreeBlocks
# Prints "ingot-found RULE FILES BYTES", separated by tabs, for each rule; all other output
# goes to standard error. Goes on as far as it gets, and fails at the end if a step failed.
set -u
MODE=$1
FREE=$2
failed=0
tab=$(printf '\t')
nl='
'
exec 3>&1 1>&2
table=$(cat)
homes=
rule=
try() { "$@" || { echo "sanitise: $rule: $*: exit status $?" >&2; failed=1; }; }
clear() { : >"$1"; }
have() { command -v "$1" >/dev/null; }

found() {
	if [ -d "$1" ] && [ ! -L "$1" ]; then
		files=$((files + $(find "$1" -xdev ! -type d 2>/dev/null | wc -l)))
	else
		files=$((files + 1))
	fi
	k=$(du -xsk "$1" 2>/dev/null)
	k=${k%%"$tab"*}
	kib=$((kib + ${k:-0}))
}
report() { [ -z "$rule" ] || printf 'ingot-found\t%s\t%s\t%s\n' "$rule" "$files" "$((kib * 1024))" >&3; }

# each VERB PATTERN: does VERB for each path that fits
each() {
	case $2 in
	'~/'*)
		for home in $homes; do
			each "$1" "$home/${2#??}"
		done
		return
		;;
	esac
	for path in $2; do # without a separator only patterns are expanded
		[ -e "$path" ] || [ -L "$path" ] || continue
		"do_$1" "$path"
	done
}
do_home() { [ ! -d "$1" ] || homes=$homes${homes:+$nl}$1; }
do_remove() {
	found "$1"
	[ "$MODE" = list ] || try rm -rf -- "$1"
}
do_empty() {
	[ -s "$1" ] || return 0
	found "$1"
	[ "$MODE" = list ] || try clear "$1"
}
do_below() {
	[ -d "$1" ] || return 0
	found "$1"
	[ "$MODE" = list ] || try find "$1" -xdev -type f -exec sh -c 'for f; do : >"$f"; done' sh '{}' +
}
do_find() { found "$1"; }
# cut FILE SCRIPT: leaves the file with its owner and mode
cut_lines() {
	[ -f "$1" ] || return 0
	rest=$(sed -e "$2" "$1" && echo x) || { try false; return; }
	[ "$(cat "$1" && echo x)" != "$rest" ] || return 0
	files=$((files + 1))
	[ "$MODE" = list ] || printf '%s' "${rest%x}" >"$1" || try false
}

IFS=$nl
set -f
for line in $table; do
	set +f
	verb=${line%%"$tab"*}
	arg=${line#*"$tab"}
	IFS=$nl
	case $verb in
	rule)
		report
		rule=$arg files=0 kib=0
		;;
	call) IFS=" $tab$nl" && "rule_$arg" && IFS=$nl ;;
	cut) cut_lines "${arg%%"$tab"*}" "${arg#*"$tab"}" ;;
	*) each "$verb" "$arg" ;;
	esac
done
report
sync
exit "$failed"
