package reality

import (
	"cmp"
	"strings"
	"time"

	"ingot/backend/evidence"
)

// Machine is what an artifact may boot in, and the newest proof of it there.
type Machine struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Evidence string    `json:"evidence,omitempty"` // id of the document
	At       time.Time `json:"at,omitzero"`
}

// Machines returns the list as text, such as "QEMU ✓ · Apple VZ ?"; "" without an
// artifact.
func (r Row) Machines() string {
	mark := map[State]string{Passed: "✓", Failed: "✗", Unknown: "?"}
	var out []string
	for _, m := range r.BootedIn {
		out = append(out, m.Name+" "+cmp.Or(mark[m.State], m.State.String()))
	}
	return strings.Join(out, " · ")
}

// limaMachines are the names of the machines that Lima starts, by its names of them.
var limaMachines = []struct{ vmType, name string }{{"vz", "Apple VZ"}, {"qemu", "Lima's QEMU"}}

// bootedIn lists the machines in which the artifact has a proof, QEMU first. Apple's
// framework is always listed: most people run images there.
func (f Facts) bootedIn(art *evidence.Document, boots Cell) []Machine {
	if art == nil {
		return nil
	}
	out := []Machine{{"QEMU", boots.State, boots.Evidence, boots.At}}
	for _, kind := range limaMachines {
		m := Machine{Name: kind.name}
		for _, d := range f.FileProofs {
			var p evidence.Proof
			if d.Unbelievable() || d.Head.Kind != evidence.KindProof || d.Subject().SHA256() != art.Subject().SHA256() || d.Decode(&p) != nil || len(p.Boots) == 0 || p.Boots[0].VMType != kind.vmType {
				continue
			}
			c := cellOf(&d)
			m.State, m.Evidence, m.At = c.State, c.Evidence, c.At
		}
		if m.Evidence != "" || kind.vmType == "vz" {
			out = append(out, m)
		}
	}
	return out
}
