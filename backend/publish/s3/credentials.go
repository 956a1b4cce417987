package s3

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"ingot/backend/publish"
	"ingot/backend/secret"
)

// Credentials returns an endpoint's credentials provider. kind is one of
// home.CredentialKinds; "" tries the environment, the AWS profile, MinIO's environment
// and the keychain in this order. The keychain's entry "s3:<host>" contains
// "ACCESS:SECRET".
func Credentials(kind, profile, endpoint string, store secret.Store) (*credentials.Credentials, error) {
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
		if perr := profileError(kind, profile); perr != nil {
			return nil, perr
		}
		return nil, &publish.Error{Cause: "publish.credentials", Msg: fmt.Sprintf("no credentials for %s were found (searched: %s)", endpoint, strings.Join(order, ", ")), Err: err}
	}
	return c, nil
}

// profileError returns why an AWS profile that was named has no credentials; nil if
// none was named. The chain of providers does not report it.
func profileError(kind, profile string) error {
	name := cmp.Or(profile, os.Getenv("AWS_PROFILE"))
	if name == "" || kind != "" && kind != "aws-profile" {
		return nil
	}
	file := &credentials.FileAWSCredentials{Profile: profile}
	_, err := file.RetrieveWithCredContext(&credentials.CredContext{Client: http.DefaultClient})
	msg := fmt.Sprintf("the AWS profile %q has no credentials", name)
	if err != nil {
		msg = fmt.Sprintf("the AWS profile %q cannot be read: %v", name, err)
	}
	return &publish.Error{Cause: "publish.profile", Msg: msg, Err: err}
}

type keychainProvider struct {
	endpoint string
	store    secret.Store
}

// KeychainName returns the name of the keychain entry of an endpoint's credentials.
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
	access, key, ok := strings.Cut(strings.TrimSpace(string(b)), ":") // a file written by hand ends with a newline
	if !ok {
		return credentials.Value{}, errors.New("the keychain's entry must have the form ACCESS:SECRET")
	}
	return credentials.Value{AccessKeyID: access, SecretAccessKey: key, SignerType: credentials.SignatureV4}, nil
}

func (keychainProvider) IsExpired() bool { return false }
