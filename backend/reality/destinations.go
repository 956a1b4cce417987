package reality

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"ingot/backend/evidence"
)

// Destination is where the artifact's own bytes were published, by the newest receipt
// that was made there.
type Destination struct {
	Name     string    `json:"name"` // "local store", "github.com/owner/name", "dir:/srv/images", host and bucket
	URL      string    `json:"url"`  // of the release
	Evidence string    `json:"evidence"`
	At       time.Time `json:"at"`
}

// publishedTo lists the destinations at which the artifact was published, the newest
// first. A receipt that cannot be trusted, or of another artifact, does not count.
func (f Facts) publishedTo(art *evidence.Document) (out []Destination) {
	if art == nil {
		return nil
	}
	for _, d := range slices.Backward(f.Evidence) {
		var r evidence.Receipt
		if d.Head.Kind != evidence.KindReceipt || d.Subject().SHA256() != art.Subject().SHA256() || cellOf(&d).State != Passed || d.Decode(&r) != nil {
			continue
		}
		name := nameOf(d.Head.Inputs["endpoint"], r)
		if !slices.ContainsFunc(out, func(o Destination) bool { return o.Name == name }) {
			out = append(out, Destination{name, r.URL, d.ID, d.Head.At})
		}
	}
	return out
}

// nameOf returns a destination's name from the address that its publisher has in the
// inputs of the step.
func nameOf(endpoint string, r evidence.Receipt) string {
	u, err := url.Parse(endpoint)
	switch {
	case err == nil && u.Scheme == "file":
		return "dir:" + strings.TrimSuffix(u.Path, "/")
	case r.Local:
		return "local store"
	case err == nil && u.Host != "":
		return strings.TrimSuffix(u.Host+u.Path, "/")
	}
	return endpoint
}

// namesOf returns the names of destinations as a list for a person.
func namesOf(list []Destination) string {
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	return strings.Join(names, " and ")
}
