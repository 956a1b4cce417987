package guest_test

import (
	"slices"
	"testing"

	"ingot/backend/guest"
)

func TestProxyEnv(t *testing.T) {
	got := guest.ProxyEnv([]string{"HOME=/root", "http_proxy=http://proxy.example.org:3128", "HTTPS_PROXY=http://me:sesame@proxy.example.org:3128", "no_proxy=localhost,.example.org", "all_proxy=", "ALL_PROXY=me:sesame@proxy.example.org:3128"})
	if want := []string{"http_proxy=http://proxy.example.org:3128", "no_proxy=localhost,.example.org"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
