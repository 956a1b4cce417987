package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ingot/backend/api"
	"ingot/backend/build"
	"ingot/backend/home"
	"ingot/backend/publish"
	"ingot/backend/publish/s3"
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
