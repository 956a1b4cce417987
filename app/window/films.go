package window

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"ingot/backend/api"
)

// filmsOf returns the films of a target's last proof, or of the boots of a build that
// runs, each beside the last good boot of the same name.
// What the last good proof did is read once for each proof.
func (w *Window) filmsOf(ctx context.Context, row api.Row, got story, kept *goodProof) ([]film, error) {
	id := row.Boots.Evidence
	if row.Boots.State != api.Passed {
		id = got.proof
	}
	var gerr error
	if kept.id != id {
		if kept.boots, gerr = w.goodBoots(ctx, id); gerr == nil {
			kept.id = id
		}
	}
	good := kept.boots
	if len(got.builds) > 0 && got.builds[0].Live {
		if live := w.liveFilms(got, good); len(live) > 0 {
			return live, nil
		}
	}
	if row.Boots.Evidence == "" {
		return nil, nil
	}
	d, p, err := w.proof(ctx, row.Boots.Evidence)
	if p == nil {
		return nil, err
	}
	var out []film
	for _, b := range p.Boots {
		f := film{name: b.Name, verdict: api.Passed}
		if b.Verdict != "passed" {
			f.verdict = api.Failed
		}
		log := w.console(d, b.Serial)
		f.frames = filmOf(b.Phases, log, f.verdict)
		if b.Screenshot != nil {
			f.shot, _ = w.backend.BuildFile(d, *b.Screenshot)
		}
		f.compare(good, log)
		out = append(out, f)
	}
	return out, gerr
}

// goodBoot is a boot that passed, with its log.
type goodBoot struct {
	boot api.Boot
	log  []string
}

// goodProof is a proof that passed, by its id, with its boots by name.
type goodProof struct {
	id    string
	boots map[string]goodBoot
}

// goodBoots returns the boots of a proof that passed, by name; "" is none.
func (w *Window) goodBoots(ctx context.Context, id string) (map[string]goodBoot, error) {
	if id == "" {
		return nil, nil
	}
	d, p, err := w.proof(ctx, id)
	if p == nil {
		return nil, err
	}
	out := map[string]goodBoot{}
	for _, b := range p.Boots {
		out[b.Name] = goodBoot{b, w.console(d, b.Serial)}
	}
	return out, nil
}

// proof returns a document of evidence and the proof in it: nil if it is of another kind,
// is not to be believed, or cannot be read.
func (w *Window) proof(ctx context.Context, id string) (api.Document, *api.Proof, error) {
	d, err := w.backend.Evidence(ctx, id)
	if err != nil || d.Head.Kind != api.KindProof || d.Unbelievable() {
		return d, nil, err
	}
	var p api.Proof
	if err := d.Decode(&p); err != nil {
		return d, nil, err
	}
	return d, &p, nil
}

// console returns the lines of a boot's log; none if it is gone.
func (w *Window) console(d api.Document, f api.File) []string {
	file, err := w.backend.BuildFile(d, f)
	if err != nil {
		return nil
	}
	lines, err := readConsole(file)
	if err != nil {
		return nil
	}
	return lines
}

// compare adds what the last good boot of the same name did.
func (f *film) compare(good map[string]goodBoot, log []string) {
	g, ok := good[f.name]
	if !ok {
		return
	}
	frames := filmOf(g.boot.Phases, nil, api.Passed)
	f.good = total(frames)
	if f.verdict == api.Passed {
		return
	}
	for i := range f.frames {
		f.frames[i].usual = max(0, frames[i].seconds)
	}
	if f.verdict != api.Failed {
		return
	}
	if common, then, instead, ok := difference(g.log, log); ok {
		f.differs = []string{"Last line in common: " + common, "The last good boot went on: " + then, "This one: " + orNothing(instead)}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing more"
	}
	return s
}

// bootNote matches the notes of a proof while it runs.
var bootNote = regexp.MustCompile(`^(\S+) boot: (.+) at (\d+) s$`)

// againNote is part of the note of a boot that is tried again without an accelerator.
const againNote = "trying again under TCG"

// liveFilms returns the films of the boots that a running build has begun.
func (w *Window) liveFilms(got story, good map[string]goodBoot) []film {
	times := map[string]map[string]float64{} // by boot and phase
	var names []string
	for _, e := range got.events {
		if strings.Contains(e.Msg, againNote) && e.Step == "prove" && len(names) > 0 {
			times[names[len(names)-1]] = map[string]float64{} // the boot is begun anew
		}
		m := bootNote.FindStringSubmatch(e.Msg)
		if m == nil || e.Step != "prove" {
			continue
		}
		phase := m[2]
		if phase == "a command answered" {
			phase = "answer"
		}
		if times[m[1]] == nil {
			times[m[1]] = map[string]float64{}
			names = append(names, m[1])
		}
		times[m[1]][phase], _ = strconv.ParseFloat(m[3], 64)
	}
	var out []film
	for i, name := range names {
		file := "" // of the last attempt
		for _, p := range got.written.logs {
			if strings.HasPrefix(filepath.Base(p), "serial-"+name+"-") {
				file = max(file, p) // names end with the time
			}
		}
		if file == "" {
			continue
		}
		log, err := readConsole(file)
		if err != nil {
			continue
		}
		phases, err := w.backend.Phases(log)
		if err != nil {
			continue
		}
		for i := range phases {
			phases[i].Seconds = times[name][phases[i].Name]
		}
		f := film{name: name, verdict: api.Running}
		at, answered := times[name]["answer"]
		if answered {
			phases = append(phases, api.Phase{Name: "answer", Seconds: at})
		}
		if answered || i+1 < len(names) { // the next boot begins after this one has passed
			f.verdict = api.Passed
		}
		f.frames = filmOf(phases, log, f.verdict)
		f.compare(good, log)
		out = append(out, f)
	}
	return out
}
