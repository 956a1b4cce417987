// Package all is the table of the publishers: those that `ingot publish --to
// SCHEME:REST` opens, and the one of config.yaml's publish section. A new publisher
// needs a folder below publish/ and a line here.
package all

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/publish/folder"
	"ingot/backend/publish/github"
	"ingot/backend/publish/s3"
	"ingot/backend/secret"
)

// Schemes maps a scheme to the function that opens a publisher from the text after the
// scheme's colon. The table is constant.
var Schemes = map[string]func(rest string, access Access) (publish.Publisher, error){
	folder.Scheme: func(dir string, _ Access) (publish.Publisher, error) { return folder.Open(dir) },
	github.Scheme: func(repo string, a Access) (publish.Publisher, error) { return github.Open(repo, a.GitHub) },
}

// Access is how publishers get the credentials that they need, when they need them.
type Access struct{ GitHub github.Token }

// forms show how names of publishers are written, by scheme.
var forms = map[string]string{folder.Scheme: "dir:PATH", github.Scheme: "github:OWNER/REPO"}

// Configured opens the publisher of config.yaml's publish section, an S3-compatible
// endpoint.
func Configured(c home.PublishConfig, secrets secret.Store) (publish.Publisher, error) {
	e, err := s3.Configured(c, secrets)
	return s3.Publisher{Endpoint: e}, err
}

// Open opens the publisher with a name like dir:/srv/images or github:me/images.
func Open(name string, access Access) (publish.Publisher, error) {
	scheme, rest, ok := strings.Cut(name, ":")
	open := Schemes[scheme]
	if !ok || open == nil {
		var known []string
		for _, s := range slices.Sorted(maps.Keys(Schemes)) {
			known = append(known, cmp.Or(forms[s], s+":…"))
		}
		return nil, &publish.NameError{Name: name, Known: known}
	}
	return open(rest, access)
}
