package publish

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/secret"
)

// FromConfig makes an endpoint's credentials provider. kind is one of
// home.CredentialKinds; "" tries environment, AWS profile, MinIO's environment
// and the keychain in this order. The keychain's entry "s3:<host>" holds
// "ACCESS:SECRET".
func FromConfig(kind, profile, endpoint string, store secret.Store) (*credentials.Credentials, error) {
	chain := map[string]credentials.Provider{
		"env": &credentials.EnvAWS{}, "aws-profile": &credentials.FileAWSCredentials{Profile: profile},
		"minio-env": &credentials.EnvMinio{}, "keychain": keychainProvider{endpoint, store},
	}
	order := []string{"env", "aws-profile", "minio-env", "keychain"}
	if kind != "" {
		order = []string{kind}
	}
	var providers []credentials.Provider
	for _, k := range order {
		providers = append(providers, chain[k])
	}
	c := credentials.NewChainCredentials(providers)
	v, err := c.GetWithContext(&credentials.CredContext{Client: http.DefaultClient})
	if err != nil || v.AccessKeyID == "" {
		return nil, &Error{Cause: "publish.credentials", Msg: fmt.Sprintf("no credentials for %s were found (looked at: %s)", endpoint, strings.Join(order, ", ")), Err: err}
	}
	return c, nil
}

type keychainProvider struct {
	endpoint string
	store    secret.Store
}

// KeychainName is the entry of an endpoint's credentials.
func KeychainName(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return "s3:" + u.Host
	}
	return "s3:" + endpoint
}

func (k keychainProvider) Retrieve() (credentials.Value, error) {
	return k.RetrieveWithCredContext(nil)
}

func (k keychainProvider) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	b, err := k.store.Get(KeychainName(k.endpoint))
	if errors.Is(err, secret.ErrNotFound) {
		return credentials.Value{SignerType: credentials.SignatureAnonymous}, nil
	}
	if err != nil {
		return credentials.Value{}, err
	}
	access, key, ok := strings.Cut(strings.TrimSpace(string(b)), ":") // a file made by hand ends with a newline
	if !ok {
		return credentials.Value{}, errors.New("the keychain's entry has another form than ACCESS:SECRET")
	}
	return credentials.Value{AccessKeyID: access, SecretAccessKey: key, SignerType: credentials.SignatureV4}, nil
}

func (keychainProvider) IsExpired() bool { return false }
