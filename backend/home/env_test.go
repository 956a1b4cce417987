package home

import (
	"slices"
	"testing"
)

// A child process gets no credentials and no proxy's password, and the rest.
func TestWithoutSecrets(t *testing.T) {
	keep := []string{"PATH=/bin", "HOME=/h", "LIMA_HOME=/l", "SSH_AUTH_SOCK=/s", "HTTP_PROXY=http://proxy.example.org:3128", "no_proxy=localhost,.example.org", "EMPTY="}
	drop := []string{"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "MINIO_ROOT_PASSWORD=c", "MC_HOST_x=https://a:b@h", "GITHUB_TOKEN=d", "my_password=e", "DEPLOY_KEY=f",
		"https_proxy=http://user:pass@proxy.example.org", "ALL_PROXY=user:pass@proxy.example.org:1080"}
	if got := WithoutSecrets(append(append([]string{}, drop...), keep...)); !slices.Equal(got, keep) {
		t.Errorf("%q", got)
	}
}
