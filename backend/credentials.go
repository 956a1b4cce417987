package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/publish/github"
	"ingot/backend/publish/s3"
	"ingot/backend/secret"
)

// ProbeEndpoint tests the operations that publishing needs on the configured
// endpoint or the local store.
func (b *Backend) ProbeEndpoint(ctx context.Context) (address string, found []api.Ability, err error) {
	to, done, err := b.openPublisher(ctx, "")
	if err != nil {
		return "", nil, err
	}
	defer done()
	found, err = to.Probe(ctx)
	return to.ID(), found, err
}

// KeepCredentials stores an endpoint's credentials for later publishes; "" is
// the endpoint of config.yaml. They are parameters rather than command-line
// arguments, which other processes can read. It returns the name of the entry.
func (b *Backend) KeepCredentials(ctx context.Context, endpoint, access, key string) (string, error) {
	if endpoint == "" {
		endpoint = b.Config.Publish.Endpoint
	}
	if endpoint == "" {
		return "", &build.OptionError{Msg: "no endpoint: name one, or set publish.endpoint in " + b.Home.ConfigFile() + " (the local store needs no login)"}
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", &build.OptionError{Msg: fmt.Sprintf("%q is not an endpoint; write it like https://s3.example.org", endpoint)}
	}
	if access == "" || key == "" || strings.Contains(access, ":") || strings.ContainsAny(access+key, " \t\r\n") {
		return "", &build.OptionError{Msg: "an access key and a secret key are needed, without spaces, and the access key without a colon"}
	}
	lock, err := b.Home.Lock(ctx, home.LockOptions{Purpose: "store login", Wait: true})
	if err != nil {
		return "", err
	}
	name := s3.KeychainName(endpoint)
	return name, errors.Join(b.Secrets.Put(name, []byte(access+":"+key)), lock.Unlock())
}

// GitHub is the name of GitHub's token among the stored credentials.
const GitHub = "github"

// KeepGitHubToken stores a token for later publishes to GitHub, and returns the name of
// the entry.
func (b *Backend) KeepGitHubToken(ctx context.Context, token string) (string, error) {
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", &build.OptionError{Msg: "a token is needed, without spaces"}
	}
	lock, err := b.Home.Lock(ctx, home.LockOptions{Purpose: "store login", Wait: true})
	if err != nil {
		return "", err
	}
	return GitHub, errors.Join(b.Secrets.Put(GitHub, []byte(token)), lock.Unlock())
}

// ghLimit bounds the time of gh, which may ask a keychain.
const ghLimit = 30 * time.Second

// githubToken returns the stored token for GitHub, else that of GITHUB_TOKEN, else that
// of gh, GitHub's command line.
func githubToken(b *Backend) github.Token {
	return func(ctx context.Context) (token, from string, err error) { return findToken(ctx, b) }
}

func findToken(ctx context.Context, b *Backend) (token, from string, err error) {
	text, err := b.Secrets.Get(GitHub)
	if err == nil {
		return string(text), b.KeysWhere(), nil
	}
	if !errors.Is(err, secret.ErrNotFound) {
		return "", "", err
	}
	if token := os.Getenv("GITHUB_TOKEN"); token != "" {
		return token, "GITHUB_TOKEN", nil
	}
	gh, err := home.LookTool("gh")
	if err != nil {
		return "", "", nil // the publisher says what can be done
	}
	ctx, cancel := context.WithTimeout(ctx, ghLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, gh, "auth", "token").Output()
	if err != nil {
		return "", "", nil // it is not logged in
	}
	return strings.TrimSpace(string(out)), "gh", nil
}

// Lacking returns an error that lists what an endpoint cannot do, or nil.
func Lacking(address string, found []api.Ability) error {
	var names []string
	for _, a := range found {
		if !a.OK {
			names = append(names, a.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	id, fix := "publish.failed", "use an endpoint with conditional writes, or correct its policy"
	switch {
	case slices.Contains(names, "create only") || slices.Contains(names, "refuse a lost update"):
		id, fix = "publish.no-conditions", "use an endpoint with conditional writes"
	case slices.Equal(names, []string{"public"}):
		id, fix = "publish.not-public", "let anybody read the bucket, or set publish.publicURL"
	}
	return &publish.Error{Cause: id, Msg: fmt.Sprintf("%s cannot do all that publishing needs: %s", address, strings.Join(names, ", ")), Fix: fix}
}
