// Package macproof is the record of `make mac-proof`: what was checked on one computer,
// with one build of Ingot, and what came of it.
//
// A record is a document of package evidence with the kind MacProof, outside of every
// ledger: its subject is the program `ingot` that was checked. Like all documents it is
// signed if nothing in it failed. It answers every check of Checks, or says why it does
// not; a record that leaves one out is refused. A record of another system than macOS
// says nothing about a Mac: it shows that the run and the record work.
package macproof

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ingot/backend/cause"
	"ingot/backend/evidence"
)

// Kind is the kind of a record.
const Kind evidence.Kind = "MacProof"

// Verdict is the answer to a check. The zero value is no answer.
type Verdict string

// Verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped" // not tried; Why says why
)

// Result is the answer to one check.
type Result struct {
	ID      string  `json:"id"`
	By      By      `json:"by"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`
	Seconds float64 `json:"seconds"`
	Log     string  `json:"log,omitempty"` // SHA-256 of the log, as it is in the archive beside the record
}

// Computer is where a record was made. It has no name, serial number or user.
type Computer struct {
	System  string `json:"system"`  // darwin, linux
	Version string `json:"version"` // like 26.1
	Model   string `json:"model"`   // like Mac16,1
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Memory  int64  `json:"memory"` // bytes
	QEMU    string `json:"qemu,omitempty"`
	Lima    string `json:"lima,omitempty"`
	// NoHardware says why hardware virtualisation could not be had, as on a computer
	// that is itself virtual.
	NoHardware string `json:"noHardware,omitempty"`
}

// Record is the predicate.
type Record struct {
	evidence.Head
	Computer Computer          `json:"computer"`
	Commit   string            `json:"commit"`
	Changed  bool              `json:"changed"`  // the source had changes that are not in the commit
	Programs map[string]string `json:"programs"` // SHA-256 by name
	Results  []Result          `json:"results"`
}

// Count returns how many checks have a verdict.
func (r Record) Count(v Verdict) (n int) {
	for _, res := range r.Results {
		if res.Verdict == v {
			n++
		}
	}
	return n
}

// OnMac reports whether the record was made on a Mac.
func (r Record) OnMac() bool { return r.Computer.System == "darwin" }

// Error reports that a record cannot be believed.
type Error struct {
	ID  string // of the cause
	Msg string
}

func (e *Error) Error() string { return "record of mac-proof: " + e.Msg }

// CauseID names the cause.
func (e *Error) CauseID() string { return e.ID }

// ErrorClass sorts the error; see package cause.
func (*Error) ErrorClass() cause.Class { return cause.Verify }

// program is the name of the subject.
const program = "ingot"

// Seal makes the document. It signs it if every check is answered and none failed.
func Seal(ctx context.Context, signer evidence.Signer, tool string, at time.Time, r Record) (evidence.Document, error) {
	sum := r.Programs[program]
	if sum == "" {
		return evidence.Document{}, errors.New("record of mac-proof: the digest of the program ingot is missing")
	}
	r.Head = evidence.Head{APIVersion: "ingot/v1", Kind: Kind, At: at.UTC().Truncate(time.Second), Tool: tool, Verdict: evidence.Passed}
	if err := r.check(); err != nil {
		r.Verdict, r.Cause, r.Message = evidence.Failed, err.ID, err.Msg
	}
	return evidence.Seal(ctx, signer, evidence.Subject{Name: program, Digest: map[string]string{"sha256": sum}}, r.Head, r)
}

// Name returns the name of a record's file: date, model and version of the system.
func (r Record) Name() string {
	return fmt.Sprintf("%s-%s-%s.json", r.At.UTC().Format(time.DateOnly), fileName(r.Computer.Model), fileName(r.Computer.System+r.Computer.Version))
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9.]+`)

func fileName(s string) string {
	s = strings.Trim(notInNames.ReplaceAllString(s, "_"), "_.")
	if s == "" {
		return "unknown"
	}
	return s
}

// Is reports whether a file's content claims to be a record: verifying it is up to Open.
func Is(data []byte) bool {
	var env struct{ Payload string }
	if json.Unmarshal(data, &env) != nil {
		return false
	}
	payload, err := base64.StdEncoding.DecodeString(env.Payload)
	var st struct {
		Type string `json:"predicateType"`
	}
	return err == nil && json.Unmarshal(payload, &st) == nil && strings.HasSuffix(st.Type, ":"+string(Kind))
}

// Open reads a record. It refuses one that was changed, that is not signed by one of
// keys, that answers too little, or in which a check failed.
func Open(ctx context.Context, data []byte, keys evidence.Keys) (Record, evidence.Document, error) {
	var r Record
	d := evidence.Open(ctx, data, keys, "")
	if d.Unbelievable() {
		id, why, _ := strings.Cut(d.Problem, ": ")
		return r, d, &Error{id, why}
	}
	if d.Head.Kind != Kind {
		return r, d, &Error{evidence.CauseUnreadable, fmt.Sprintf("it is a document of the kind %q", d.Head.Kind)}
	}
	if err := d.Decode(&r); err != nil {
		return r, d, &Error{evidence.CauseUnreadable, err.Error()}
	}
	if err := r.check(); err != nil {
		return r, d, err
	}
	if d.Trust != evidence.Signed || r.Programs[program] != d.Subject().SHA256() {
		return r, d, &Error{evidence.CauseSignature, "it has no signature, or is about another program than it says"}
	}
	return r, d, nil
}

// The causes of a record that does not count.
const (
	CauseIncomplete = "macproof.incomplete"
	CauseFailed     = "macproof.check-failed"
)

// check finds what is wrong with a record: answers that are missing, not known, given
// twice or without a reason; then what failed.
func (r Record) check() *Error {
	var wrong, failed []string
	answers := map[string]int{}
	for _, res := range r.Results {
		i := slices.IndexFunc(Checks, func(c Check) bool { return c.ID == res.ID })
		answers[res.ID]++
		switch {
		case i < 0:
			wrong = append(wrong, res.ID+" is not known")
		case answers[res.ID] == 2:
			wrong = append(wrong, res.ID+" is answered twice")
		case res.By != Checks[i].By:
			wrong = append(wrong, fmt.Sprintf("%s is answered by %q; %s must answer it", res.ID, res.By, Checks[i].By))
		case res.Verdict == Skipped && res.Why == "":
			wrong = append(wrong, res.ID+" is skipped without a reason")
		case res.Verdict == Passed && Checks[i].Mac && !r.OnMac():
			wrong = append(wrong, res.ID+" can only pass on a Mac")
		case res.Verdict == Failed:
			failed = append(failed, strings.TrimSuffix(res.ID+": "+res.Why, ": "))
		case res.Verdict != Passed && res.Verdict != Skipped:
			wrong = append(wrong, fmt.Sprintf("%s has the verdict %q", res.ID, res.Verdict))
		}
	}
	for _, c := range Checks {
		if answers[c.ID] == 0 {
			wrong = append(wrong, c.ID+" is not answered")
		}
	}
	c := r.Computer
	if c.System == "" || c.Version == "" || c.Model == "" || c.CPU == "" || c.Cores == 0 || c.Memory == 0 || r.Commit == "" {
		wrong = append(wrong, "it does not say on which computer, or of which commit, it was made")
	}
	if len(wrong) > 0 {
		return &Error{CauseIncomplete, "it is incomplete: " + strings.Join(wrong, "; ")}
	}
	if len(failed) > 0 {
		return &Error{CauseFailed, "a check failed: " + strings.Join(failed, "; ")}
	}
	return nil
}
