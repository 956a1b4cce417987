package doctor

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"time"

	"ingot/backend"
	"ingot/backend/api"
	"ingot/backend/home"
	"ingot/backend/status"
)

// supportLimit is the largest size, in bytes, of a file in a bundle; of a
// larger file only the end is included.
const supportLimit = 4 << 20

// Support writes a bundle for a bug report: versions, the doctor's report, the
// status, the configuration, and the logs, journal and evidence of each
// target's newest build. The names of the user, this computer and hosts are
// replaced, and so is everything that looks like a credential. It returns the
// names of the files in the bundle.
func Support(ctx context.Context, b *backend.Backend, file string) (names []string, err error) {
	if err := backend.CheckOutput(file); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	add := func(name string, v any) {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			text = []byte(err.Error())
		}
		files[name] = text
	}
	add("version.json", map[string]string{"ingot": api.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	rows, err := status.Rows(ctx, b)
	if err != nil {
		return nil, err
	}
	add("status.json", rows)
	findings, err := Examine(ctx, b)
	if err != nil {
		add("doctor.json", err.Error())
	} else {
		add("doctor.json", findings)
	}
	if text, err := os.ReadFile(b.Home.ConfigFile()); err == nil {
		files["config.yaml"] = text
	}
	if err := supportBuilds(ctx, b, files); err != nil {
		return nil, err
	}
	r := newRedactor(b)
	for name, text := range files {
		files[name] = r.clean(text)
		names = append(names, name)
	}
	sort.Strings(names)
	return names, home.CreateAtomic(file, 0o600, func(f *os.File) error { return writeBundle(f, names, files) })
}

// supportBuilds adds the newest build of each target. Evidence is added as
// statements, since names inside an envelope could not be replaced.
func supportBuilds(ctx context.Context, b *backend.Backend, files map[string][]byte) error {
	targets, err := b.Ledger.Targets()
	if err != nil {
		return err
	}
	for _, t := range targets {
		builds, err := b.Ledger.Builds(t)
		if err != nil {
			return err
		}
		if len(builds) == 0 {
			continue
		}
		newest := builds[len(builds)-1]
		docs, err := newest.Evidence(ctx, b.Keys)
		if err != nil {
			return err
		}
		for _, d := range docs {
			text, err := json.MarshalIndent(d.Statement, "", "  ")
			if err != nil {
				text = []byte(d.Problem)
			}
			files[t+"/"+newest.ID+"/evidence/"+d.ID+".json"] = text
		}
		for _, pattern := range []string{"journal.ndjson", "logs/*"} {
			found, err := filepath.Glob(filepath.Join(newest.Dir, pattern))
			if err != nil {
				return err
			}
			for _, f := range found {
				text, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				rel, err := filepath.Rel(newest.Dir, f)
				if err != nil {
					return err
				}
				files[t+"/"+newest.ID+"/"+filepath.ToSlash(rel)] = text[max(0, len(text)-supportLimit):]
			}
		}
	}
	return nil
}

func writeBundle(f *os.File, names []string, files map[string][]byte) error {
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, n := range names {
		if err := t.WriteHeader(&tar.Header{Name: "ingot-support/" + n, Mode: 0o600, Size: int64(len(files[n])), ModTime: time.Now()}); err != nil {
			return err
		}
		if _, err := t.Write(files[n]); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// redactor replaces names and everything that looks like a credential.
type redactor struct{ names []struct{ from, to string } }

// credentialLike matches assignments of secrets in the syntax of shells, YAML,
// URLs and HTTP headers.
var credentialLike = regexp.MustCompile(`(?i)((secret|password|passwd|passphrase|token|credential|access[_-]?key(_id)?|private[_-]?key)["']?\s*[:=]\s*["']?)[^\s"',}]{4,}|(authorization:\s*)\S.*|(://[^\s/:@]+:)[^\s/@]+@|\b(AKIA|ASIA)[A-Z0-9]{16}\b`)

// privateKey matches a key in PEM, as OpenSSH, OpenSSL and NATS write it, also
// if the end of the file cuts it off.
var privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|NKEY SEED|USER NKEY SEED)[A-Z ]*-----.*?(-----+END [A-Z0-9 ]*-----+|\z)`)

// homeOf matches a home folder, on any computer.
var homeOf = regexp.MustCompile(`(/home/|/Users/)[^/\s"':,;]+`)

func newRedactor(b *backend.Backend) redactor {
	var r redactor
	add := func(from, to string) {
		if len(from) > 2 {
			r.names = append(r.names, struct{ from, to string }{from, to})
		}
	}
	if dir, err := os.UserHomeDir(); err == nil {
		add(dir, "~")
	}
	if u, err := user.Current(); err == nil && u.Username != "root" {
		add(u.Username, "USER")
	}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		add(name, "THIS-HOST")
	}
	team := b.Config.Team
	hosts := []string{b.Config.Publish.Endpoint, b.Config.Publish.PublicURL, team.NATS, team.Store.Endpoint, team.Store.PublicURL}
	for _, m := range b.Config.Mirrors {
		hosts = append(hosts, m)
	}
	for i, h := range hosts {
		if u, err := url.Parse(h); err == nil {
			add(u.Host, fmt.Sprintf("HOST-%d", i))
			add(u.Hostname(), fmt.Sprintf("HOST-%d", i)) // logs have the name without the port
		}
	}
	for i, g := range b.Config.Guests {
		add(g.Host, fmt.Sprintf("GUEST-%d", i))
		add(g.Name, fmt.Sprintf("GUEST-%d", i))
		add(g.Instance, fmt.Sprintf("GUEST-%d", i))
		add(g.User, "USER")
	}
	// longer names first: a name may contain another
	sort.SliceStable(r.names, func(i, j int) bool { return len(r.names[i].from) > len(r.names[j].from) })
	return r
}

func (r redactor) clean(text []byte) []byte {
	s := string(text)
	for _, n := range r.names {
		s = strings.ReplaceAll(s, n.from, n.to)
	}
	s = privateKey.ReplaceAllString(s, "PRIVATE KEY REDACTED")
	s = homeOf.ReplaceAllString(s, "${1}USER")
	return []byte(credentialLike.ReplaceAllString(s, "${1}${4}${5}REDACTED"))
}
