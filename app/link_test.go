package app

import "testing"

func TestRouteOfLink(t *testing.T) {
	for link, want := range map[string]string{
		"ingot://": "", "ingot://builds": "builds", "ingot://builds/": "builds",
		"ingot://reality/debian-12-arm64":                         "reality/debian-12-arm64",
		"ingot://builds/debian-12-arm64/20261124-140804-1a2b3c4d": "builds/debian-12-arm64/20261124-140804-1a2b3c4d",
		"ingot://evidence/proof-1a2b3c4d5e6f":                     "evidence/proof-1a2b3c4d5e6f",
	} {
		if got, err := RouteOfLink(link); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", link, got, err, want)
		}
	}
	for _, link := range []string{"", "http://reality", "file:///etc/passwd", "ingot:reality", "ingot://reality/../settings", "ingot://reality/a%20b", "ingot://reality/a b", "ingot://reality/%2e%2e", "ingot://a/b/c/d",
		"ingot://reality/x?build=1", "ingot://reality/x#y", "ingot://user:word@reality", "ingot://reality//x", "ingot://\x00", "ingot://reality/-x"} {
		if got, err := RouteOfLink(link); err == nil {
			t.Errorf("%q is accepted as %q", link, got)
		}
	}
}
