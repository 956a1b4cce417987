// Command macproof keeps the answers of a run of scripts/mac-proof.sh in a folder, and
// makes the signed record of them:
//
//	macproof -dir D run ID COMMAND…   runs it; its exit code is the answer: 0 passed,
//	                                  77 skipped, anything else failed; its last line of
//	                                  output is the reason
//	macproof -dir D skip ID REASON    a check that is not tried
//	macproof -dir D ask ID QUESTION   asks the person at the terminal; with -answers FILE,
//	                                  lines of "ID yes|no|skip", the file answers
//	macproof -dir D take FILE         answers of `ingot-app --selfcheck`
//	macproof -dir D left REASON       every check without an answer is skipped
//	macproof -dir D -to FOLDER finish the record, and an archive of the logs beside it
//	macproof ticks                    reads `ingot status TARGET --json`; fails unless all
//	                                  six cells are passed
//	macproof cell NAME                the same, prints the id of a cell's evidence
//
// Names of this computer and its user are taken out of the logs. `finish` exits with 1 if
// a check failed or has no answer; the record is written all the same, unsigned.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/macproof"
	"ingot/scripts/archive"
)

// skipCode is the exit code of a test that did not try, as automake has it.
const skipCode = 77

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := run{in: os.Stdin, out: os.Stdout}
	flag.StringVar(&r.dir, "dir", "", "folder of this run")
	flag.StringVar(&r.answers, "answers", "", "file that answers the questions")
	flag.StringVar(&r.to, "to", "docs/mac-proof", "folder for the record")
	flag.Parse()
	if err := r.do(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "macproof:", err)
		os.Exit(1)
	}
}

type run struct {
	dir, answers, to string
	in               io.Reader
	out              io.Writer
}

func (r run) do(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "ticks" || len(args) == 2 && args[0] == "cell" {
		return r.cells(args[1:])
	}
	if r.dir == "" || len(args) == 0 {
		return errors.New("usage: macproof -dir FOLDER run|skip|ask|take|left|finish …")
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "logs"), 0o700); err != nil {
		return err
	}
	switch verb, rest := args[0], args[1:]; {
	case verb == "run" && len(rest) > 1:
		return r.command(ctx, rest[0], rest[1:])
	case verb == "skip" && len(rest) == 2:
		return r.add(macproof.Result{ID: rest[0], Verdict: macproof.Skipped, Why: rest[1]})
	case verb == "ask" && len(rest) == 2:
		return r.ask(rest[0], rest[1])
	case verb == "take" && len(rest) == 1:
		return r.take(rest[0])
	case verb == "left" && len(rest) == 1:
		return r.left(rest[0])
	case verb == "finish" && len(rest) == 0:
		return r.finish(ctx)
	}
	return fmt.Errorf("%q is not known, or has the wrong number of arguments", args[0])
}

func (r run) file() string { return filepath.Join(r.dir, "results.ndjson") }

func (r run) log(id string) string { return filepath.Join(r.dir, "logs", id+".log") }

// add keeps an answer, in the name of who has to give it.
func (r run) add(res macproof.Result) error {
	i := slices.IndexFunc(macproof.Checks, func(c macproof.Check) bool { return c.ID == res.ID })
	if i < 0 {
		return fmt.Errorf("there is no check %q", res.ID)
	}
	if res.By == "" {
		res.By = macproof.Checks[i].By
	}
	f, err := os.OpenFile(r.file(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%-8s %-20s %s\n", res.Verdict, res.ID, res.Why)
	return errors.Join(json.NewEncoder(f).Encode(res), f.Close())
}

func (r run) results() ([]macproof.Result, error) {
	f, err := os.Open(r.file())
	if err != nil {
		return nil, fmt.Errorf("%w: nothing was checked in %s", err, r.dir)
	}
	defer f.Close()
	var out []macproof.Result
	for dec := json.NewDecoder(f); dec.More(); {
		var res macproof.Result
		if err := dec.Decode(&res); err != nil {
			return nil, fmt.Errorf("%s: %w", r.file(), err)
		}
		out = append(out, res)
	}
	return out, nil
}

// command runs a check. Its output is written to its log only.
func (r run) command(ctx context.Context, id string, argv []string) error {
	log, err := os.Create(r.log(id))
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "         %-20s …\n", id)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	started := time.Now()
	err = cmd.Run()
	res := macproof.Result{ID: id, Verdict: macproof.Passed, Seconds: float64(time.Since(started).Milliseconds()) / 1000}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == skipCode:
		res.Verdict = macproof.Skipped
	case err != nil:
		res.Verdict = macproof.Failed
		fmt.Fprintln(log, err)
	}
	if cerr := log.Close(); cerr != nil {
		return cerr
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if res.Verdict != macproof.Passed {
		res.Why = lastLine(r.log(id))
	}
	return r.add(res)
}

// cells reads a row. Without a name every cell must be passed.
func (r run) cells(name []string) error {
	var rows []map[string]json.RawMessage
	if err := json.NewDecoder(r.in).Decode(&rows); err != nil || len(rows) != 1 {
		return fmt.Errorf("one row of `ingot status TARGET --json` is needed: %d rows, %w", len(rows), err)
	}
	var bad []string
	for _, cell := range []string{"configured", "guest", "kernel", "exported", "boots", "published"} {
		var c api.Cell
		if err := json.Unmarshal(rows[0][cell], &c); err != nil {
			return fmt.Errorf("cell %s: %w", cell, err)
		}
		if len(name) == 1 && name[0] == cell && c.Evidence != "" {
			fmt.Fprintln(r.out, c.Evidence)
			return nil
		}
		if c.State != api.Passed {
			bad = append(bad, fmt.Sprintf("%s is %s (%s)", cell, c.State, c.Cause))
		}
	}
	if len(name) == 1 {
		return fmt.Errorf("the row has no evidence of %q", name[0])
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, ", "))
	}
	return nil
}

func lastLine(file string) string {
	text, err := os.ReadFile(file)
	lines := strings.FieldsFunc(string(text), func(c rune) bool { return c == '\n' })
	if err != nil || len(lines) == 0 {
		return "it said nothing"
	}
	return shorten(clean(strings.TrimSpace(lines[len(lines)-1])))
}

func shorten(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

func (r run) ask(id, question string) error {
	started := time.Now()
	answer := ""
	if r.answers != "" {
		text, err := os.ReadFile(r.answers)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == id {
				answer = f[1]
			}
		}
	} else {
		for in := bufio.NewScanner(r.in); answer != "yes" && answer != "no" && answer != "skip"; answer = strings.TrimSpace(in.Text()) {
			fmt.Fprintf(r.out, "\n%s\nyes, no or skip: ", question)
			if !in.Scan() {
				break
			}
		}
	}
	res := macproof.Result{ID: id, Seconds: time.Since(started).Round(time.Second).Seconds()}
	switch answer {
	case "yes":
		res.Verdict = macproof.Passed
		if r.answers != "" {
			res.Why = "answered by a file"
		}
	case "no":
		res.Verdict, res.Why = macproof.Failed, "the answer was no: "+question
	default:
		res.Verdict, res.Why = macproof.Skipped, "the question was not answered"
	}
	return r.add(res)
}

func (r run) take(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all []macproof.Result
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, res := range all {
		if err := r.add(res); err != nil {
			return err
		}
	}
	return nil
}

func (r run) left(why string) error {
	have, err := r.results()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, c := range macproof.Checks {
		if !slices.ContainsFunc(have, func(res macproof.Result) bool { return res.ID == c.ID }) {
			if err := r.add(macproof.Result{ID: c.ID, Verdict: macproof.Skipped, Why: why}); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish makes the record of the answers.
func (r run) finish(ctx context.Context) error {
	results, err := r.results()
	if err != nil {
		return err
	}
	rec := macproof.Record{Computer: computer(ctx), Programs: map[string]string{}, Results: results}
	rec.Commit, rec.Changed = source(ctx)
	for _, name := range []string{"ingot", "ingot-app", "ingot-window"} {
		if data, err := os.ReadFile(filepath.Join("bin", name)); err == nil {
			rec.Programs[name] = digest(data)
		}
	}
	logs, err := r.logs(rec.Results)
	if err != nil {
		return err
	}
	b, err := backend.Open(backend.Options{})
	if err != nil {
		return err
	}
	d, err := macproof.Seal(ctx, b.Signer, "ingot "+api.Version, time.Now(), rec)
	if err != nil {
		return err
	}
	if err := d.Decode(&rec); err != nil {
		return err
	}
	if err := os.MkdirAll(r.to, 0o755); err != nil {
		return err
	}
	file := filepath.Join(r.to, rec.Name())
	if err := os.WriteFile(file, d.Envelope, 0o644); err != nil {
		return err
	}
	if err := writeLogs(strings.TrimSuffix(file, ".json")+".logs.tar.gz", logs); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped: %s\n", rec.Count(macproof.Passed), rec.Count(macproof.Failed), rec.Count(macproof.Skipped), file)
	if rec.Message != "" {
		return errors.New(rec.Message)
	}
	return os.WriteFile(strings.TrimSuffix(file, ".json")+".pub", []byte(b.PublicKey()), 0o644)
}

// logs reads the logs without this computer's names, and puts their digests into the
// answers.
func (r run) logs(results []macproof.Result) ([]archive.File, error) {
	var out []archive.File
	for i := range results {
		results[i].Why = shorten(clean(results[i].Why))
		data, err := os.ReadFile(r.log(results[i].ID))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		data = []byte(clean(string(data)))
		results[i].Log = digest(data)
		out = append(out, archive.File{Name: results[i].ID + ".log", Mode: 0o644, Data: data})
	}
	return out, nil
}

func writeLogs(file string, logs []archive.File) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(archive.TarGz(f, time.Unix(1e9, 0).UTC(), logs), f.Close())
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
