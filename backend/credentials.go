package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"ingot/backend/build"
	"ingot/backend/home"
	"ingot/backend/publish"
)

// ProbeEndpoint tries what publishing needs of the configured endpoint, or of
// the local store.
func (b *Backend) ProbeEndpoint(ctx context.Context) (address string, found []Ability, err error) {
	e, done, err := b.openEndpoint(ctx)
	if err != nil {
		return "", nil, err
	}
	defer done()
	found, err = publish.Probe(ctx, e)
	return e.ID(), found, err
}

// KeepCredentials keeps an endpoint's credentials where publishing looks for
// them; "" is the endpoint of config.yaml. They come as values, so that they
// stand in no argument list. It returns the name of the entry.
func (b *Backend) KeepCredentials(ctx context.Context, endpoint, access, key string) (string, error) {
	if endpoint == "" {
		endpoint = b.config.Publish.Endpoint
	}
	if endpoint == "" {
		return "", &build.OptionError{Msg: "no endpoint: name one, or set publish.endpoint in " + b.Home.ConfigFile() + " (the local store needs no login)"}
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", &build.OptionError{Msg: fmt.Sprintf("%q is no endpoint; write it like https://s3.example.org", endpoint)}
	}
	if access == "" || key == "" || strings.Contains(access, ":") || strings.ContainsAny(access+key, " \t\r\n") {
		return "", &build.OptionError{Msg: "an access key and a secret key are needed, without spaces, and the access key without a colon"}
	}
	lock, err := b.Home.Lock(ctx, home.LockOptions{Purpose: "store login", Wait: true})
	if err != nil {
		return "", err
	}
	name := publish.KeychainName(endpoint)
	return name, errors.Join(b.secrets.Put(name, []byte(access+":"+key)), lock.Unlock())
}

// Lacking is an error that names what an endpoint cannot do, or nil.
func Lacking(address string, found []Ability) error {
	var names []string
	for _, a := range found {
		if !a.OK {
			names = append(names, a.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &publish.Error{Cause: "publish.failed", Msg: fmt.Sprintf("%s cannot do all that publishing needs: %s", address, strings.Join(names, ", ")), Fix: "use an endpoint with conditional writes, or mend its policy"}
}
