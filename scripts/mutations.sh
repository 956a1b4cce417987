#!/bin/bash
# Changes rules that guard a tick, one at a time, in a copy of the tracked files,
# and expects a named test to fail for each. docs/testing.md lists them.
# RUN=pattern takes only the mutations whose name fits (a shell pattern).
set -euo pipefail
cd "$(dirname "$0")/.."
only=${RUN:-*}
names=() packages=() tests=() froms=() tos=()

# mutation NAME PACKAGE TEST FROM TO: FROM stands once in the package's Go files
# without its tests; with TO in its place, TEST of the package must fail. A PACKAGE
# of the form CODE:TESTS has its test in another package.
mutation() {
	# shellcheck disable=SC2254 # RUN is a pattern
	case $1 in $only) ;; *) return ;; esac
	names+=("$1") packages+=("$2") tests+=("$3") froms+=("$4") tos+=("$5")
}

e=backend/evidence
mutation 'evidence: an invalid signature is accepted' $e TestTampering \
	'if err != nil {
		return true, errors.New("its signature' 'if false && err != nil {
		return true, errors.New("its signature'
mutation 'evidence: an unknown key is accepted' $e TestTampering \
	'd.Trust, d.Problem = Foreign,' 'd.Trust, d.Problem = Signed,'
mutation 'evidence: content is not compared with the name' $e TestTampering \
	'wantID != "" && id != wantID' 'false && id != wantID'
mutation 'evidence: a pass needs no signature' $e TestTampering \
	'if d.Head.Verdict == Passed {
			return d.distrust' 'if false {
			return d.distrust'
mutation 'evidence: a failed proof is one of a boot' $e TestBoots \
	'd.Head.Kind == KindProof && d.Head.Verdict == Passed' 'd.Head.Kind == KindProof'
mutation 'evidence: a document counts in any folder' $e TestMisplaced \
	'd.Trust == Tampered || d.Head.Target == b.Target && d.Head.Build == b.ID' 'true'
mutation 'evidence: a missing document is not seen' $e TestMissing \
	'for id, n := range numbers {' 'for id, n := range map[string]int{} {'
mutation 'evidence: a lost head is not seen' $e TestMissing \
	'case d.Head.Number > 0:' 'case false:'
mutation 'evidence: a head of any key is accepted' $e TestMissing \
	'if err == nil && keys != nil {' 'if false {'
mutation 'evidence: a document that is not listed counts' $e TestDocumentsOfEarlierKey \
	'd.Trust == Unsigned || d.Trust == Signed && d.KeyID == h.keyID' 'true'
mutation 'evidence: documents are ordered by their time' $e TestOrderIsNoClock \
	'return cmp.Compare(position(x), position(y))' 'return cmp.Or(x.Head.At.Compare(y.Head.At), cmp.Compare(position(x), position(y)))'

r=backend/reality
mutation 'reality: a pass without a signature counts' $r TestDerive \
	'if d.Trust == evidence.Signed {' 'if true {'
mutation 'reality: a stale cell stays passed' $r TestDerive \
	'c.State, c.Cause, c.Message = Stale, cause, message' 'c.Cause, c.Message = cause, message'
mutation 'reality: the bytes on disk are not compared' $r TestDerive \
	'case have.SHA256 != d.Subject().SHA256():' 'case false && have.SHA256 != d.Subject().SHA256():'
mutation 'reality: another QEMU is not seen' $r TestDerive \
	'case last.QEMU != f.Host.QEMU:' 'case false && last.QEMU != f.Host.QEMU:'
mutation 'reality: a proof of other bytes counts' $r TestDerive \
	'return p.Subject().SHA256() == d.Subject().SHA256() }' 'return true || p.Subject().SHA256() == d.Subject().SHA256() }'
mutation 'reality: the own kernel of a VM counts as built' $r TestKernelOfVM \
	'own, " + a.KernelRelease' 'own, " + a.KernelRelease; c.State = Passed'

b=backend/build
w=backend/build/vmdisk
mutation 'build: the disk of a VM that was written is not copied again' $w TestState \
	'parts = append(parts, f, info.Size(), info.ModTime().UnixNano())' 'parts = append(parts, f, info.Size())'
mutation 'build: the disk of a VM that runs counts as known' $w TestState \
	'if i.Status != lima.Stopped || i.Disk == "" {' 'if i.Disk == "" {'
mutation 'build: a step is done without evidence' $b/record:$b TestEvidenced \
	'return kind == "" || b.Documents.Choose(kind, key)' 'return true || kind == "" || b.Documents.Choose(kind, key)'
mutation 'build: unsigned evidence makes a step done' $b/record:$b TestEvidenced \
	'return d.Trust == evidence.Signed && d.Head.Verdict == evidence.Passed' 'return d.Head.Verdict == evidence.Passed'
mutation 'build: digests of outputs are not compared' $b/outputs:$b TestOutputs \
	'err != nil || got != want {
			return Output{}, false' 'err != nil || false && got != want {
			return Output{}, false'
mutation 'build: an artifact is proven by the proof of another' $b TestProvenNow \
	'return ok && record.Passes(d) && d.Subject().SHA256() == sha256' 'return ok && record.Passes(d)'
mutation 'build: an artifact with a leak is published' $b/release:$b TestPublishFaultsAreEvidence \
	'if len(a.Leaks.Blocking()) > 0 {' 'if false {'
mutation 'build: evidence of an unknown key is taken from a worker' $b/delivery:$b TestReceiveRefuses \
	'	case evidence.Foreign:
		return cause.With("team.worker-unknown"' '	case evidence.Foreign:
		if true { return nil }
		return cause.With("team.worker-unknown"'
mutation 'build: a failed proof does not stop the publish' $b TestDiskThatDoesNotBoot \
	'mayFail: s.opt.Unproven && s.Wants(StepPublish)' 'mayFail: true'
mutation 'build: other bytes made again of the same inputs are accepted' $b/outputs:$b TestCheck \
	'if b.Files[other] == a.Files[name] {' 'if true || b.Files[other] == a.Files[name] {'

mutation 'build: a delivered file is written under any name' $b/delivery:$b TestReceiveRefuses \
	'!proofFile.MatchString(f.Name)' 'false'
mutation 'build: a delivered file replaces one that is there' $b/delivery:$b TestReceiveRefuses \
	'err != nil || sum != f.SHA256 {' 'false && sum != f.SHA256 {'

v=backend/verify
mutation 'verify: a release counts at any path' $v TestVerifyCopiedRelease \
	'if !fits {' 'if false && !fits {'
mutation 'verify: a GitHub release counts under any tag' backend/publish/github:$v TestVerifyGitHub \
	'return Tag(dir) == r.tag' 'return true'
mutation 'verify: the signature of the sums is ignored' $v TestVerifyAfterRotation \
	'if !ok {
		return &backend.VerifyError{Cause: "evidence.foreign-key"' 'if false && !ok {
		return &backend.VerifyError{Cause: "evidence.foreign-key"'
mutation 'verify: a file with another digest is accepted' $v TestVerifySeveralFormats \
	'if got != want {' 'if false && got != want {'
mutation 'verify: a release without a proof is accepted' $v TestVerifySeveralFormats \
	'if len(v.out.Proofs) == 0 && !v.opt.Unproven {
		return &backend.VerifyError{Cause: "publish.unproven"' 'if false {
		return &backend.VerifyError{Cause: "publish.unproven"'

mutation 'pull: a disk with another digest gets its name' $v TestPullRefuses \
	'got := hex.EncodeToString(sum.Sum(nil)); got != p.disk.sha256 {' 'got := hex.EncodeToString(sum.Sum(nil)); false && got != p.disk.sha256 {'

p=backend/proof
mutation 'proof: a failed check is not seen' $p TestCertainVerdictsStand \
	'if code != 0 {
			return r.fail' 'if false {
			return r.fail'
mutation 'proof: the build-id is not compared' $p TestKernelIdentity \
	'return Kernel{Release: k.Release, BuildID: k.BuildID}' 'return Kernel{Release: k.Release}'
mutation 'proof: the file may change during the boots' $p TestDigestAfter \
	'if p.DigestAfter != digest {' 'if false && p.DigestAfter != digest {'
mutation 'proof: the answer to the challenge is not compared' $p TestChallenge \
	'return r.answer == hex.EncodeToString(sum[:])' 'return r.answer == hex.EncodeToString(sum[:]) || r.identity != ""'

u=backend/publish
s=backend/publish/s3
mutation 'publish: what is not proven is published as proven' $u TestUnproven \
	'if !r.Proven && !opt.AllowUnproven {' 'if false {'
mutation 'publish: other bytes than the evidence names are sent' $s TestChangedBeforeItLeaves \
	'if sum != f.SHA256 {' 'if false && sum != f.SHA256 {'
mutation 'publish: an object is overwritten' $s TestCreateOnlyInOnePart \
	'opt.SetMatchETagExcept("*")
	if at, seekable' 'if at, seekable'
mutation 'publish: what was sent is not compared when read back' $u TestChangedOnTheServer \
	'if got.Size == want.Size && got.SHA256 == want.SHA256 {
		return nil' 'if true {
		return nil'
mutation 'publish: what the public gets is not compared' $u TestPublicBytesAreCompared \
	'case got.Size == want.Size && got.SHA256 == want.SHA256:' 'case true:'
mutation 'publish: whoever listens on its port is the local store' $s TestStoreIsKnownByChallenge \
	'err == nil && subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) == 1' 'err == nil && (true || subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) == 1)'

l=backend/leak
mutation 'leak: what looks like a key is no finding' $l TestEdges \
	'r.fits(window[:n], int(back)), err' 'false && r.fits(window[:n], int(back)), err'
mutation 'leak: a file system that cannot be read is clean' $l TestUnread \
	'if !searched[a.FileSystem] {' 'if false {'
mutation 'leak: a file system that refers to more than its image holds is clean' $l TestBomb \
	'func (s *scan) excess(a *area) {' 'func (s *scan) excess(a *area) {
	if true {
		return
	}'

d=backend/disk/ext4
mutation 'ext4: blocks of files count as free' $d TestFree \
	'if buf[bit/8]>>(bit%8)&1 != 0 {' 'if false {'
mutation 'ext4: what is read has no limit' $d TestReadsInAll \
	'if fs.work.Add(-n) < 0 {' 'if false {'

k=backend/packer/run
n=backend/packer/log
mutation 'packer run: a disk of before the run counts' $k TestSuccess \
	'case info.ModTime().Before(began.Add(-mtimeStep)):' 'case false:'
mutation 'packer run: what Packer leaves running goes on' $k TestNothingIsLeft \
	'_ = syscall.Kill(-pid, syscall.SIGKILL) // fails if nothing is left, as usual' ''
mutation 'packer run: a disk is not read' $k TestSuccess \
	'return Disk{}, fmt.Errorf("its file is no disk: %w", err)' 'return Disk{}, nil'
mutation 'packer log: a guest names the disk' $n TestArtifacts \
	'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `' '`'

[ ${#names[@]} -gt 0 ] || { echo "mutations: none is named like $only" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/ingot-mutations.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
git ls-files -z | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done | tar --null -T - -cf - | tar -xf - -C "$work/tree"
cd "$work/tree"

# run PACKAGE TEST writes what the test says into the log.
run() { go test -count=1 -timeout 2m -v -run "^$2\$" "./$1" > "$work/log" 2>&1; }

good=' ' # tests that pass without a change

# try PACKAGE TEST FROM TO sets result to why the mutation is no good, or to
# "killed", and leaves the copy as it was.
try() {
	local pkg=${1#*:} code=${1%%:*} t=$2 from=$3 to=$4 file="" f text rest before="" after=""
	for f in "$code"/*.go; do
		case $f in *_test.go) continue ;; esac
		text=$(cat "$f" && printf x) # x keeps the line ends at the end
		text=${text%x} rest=${text#*"$from"}
		[ "$rest" != "$text" ] || continue
		case $file:$rest in [!:]* | *"$from"*) result="the text stands more than once, also in $f: $from"; return ;; esac
		file=$f before=${text%%"$from"*} after=$rest
	done
	[ -n "$file" ] || { result="no file of $code has the text: $from"; return; }
	case $good in
	*" $pkg/$t "*) ;;
	*) # a test that is skipped, or is not there, fails for no change
		if ! run "$pkg" "$t" || ! grep -q "^--- PASS: $t " "$work/log"; then
			result="$t does not pass before the change: $(cat "$work/log")"
			return
		fi
		good="$good$pkg/$t "
		;;
	esac
	cp "$file" "$work/whole"
	printf '%s' "$before$to$after" > "$file"
	if cmp -s "$file" "$work/whole"; then
		result="$file did not change"
	elif run "$pkg" "$t"; then
		result="$t passes all the same, with $file changed"
	elif grep -q "^--- FAIL: $t " "$work/log"; then
		result=killed
	else
		result="$t could not be run: $(cat "$work/log")"
	fi
	cp "$work/whole" "$file"
}

passed=0 failed=0
for i in "${!names[@]}"; do
	try "${packages[i]}" "${tests[i]}" "${froms[i]}" "${tos[i]}"
	if [ "$result" = killed ]; then
		echo "ok   ${names[i]}: ${tests[i]} fails"
		passed=$((passed + 1))
	else
		echo "FAIL ${names[i]}: $result"
		failed=$((failed + 1))
	fi
done

# The controls: mutations that must not count as killed.
control() { # NAME RESULT FROM TO
	try $e TestBoots "$3" "$4"
	# shellcheck disable=SC2254 # RESULT is a pattern
	case $result in
	$2) echo "ok   control, $1" && passed=$((passed + 1)) ;;
	*) echo "FAIL control, $1: $result" && failed=$((failed + 1)) ;;
	esac
}
control 'a change of no meaning' '*passes all the same*' 'return d.Trust == Signed && d.Head.Kind' 'return true && d.Trust == Signed && d.Head.Kind'
control 'a change that does not compile' '*could not be run*' 'return d.Trust == Signed && d.Head.Kind' 'return d.Trust == Signed && nothing && d.Head.Kind'
control 'a text that is not there' 'no file*' 'return d.Trust == Believed' ''
control 'a text that stands twice' '*more than once*' 'func ' 'func  '
control 'no change' '*did not change' 'return d.Trust == Signed && d.Head.Kind' 'return d.Trust == Signed && d.Head.Kind'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
