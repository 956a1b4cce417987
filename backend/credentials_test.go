package backend

import (
	"context"
	"errors"
	"testing"

	"ingot/backend/build"
	"ingot/backend/publish/s3"
)

// What is kept is what publishing finds.
func TestKeepCredentials(t *testing.T) {
	t.Setenv("INGOT_HOME", t.TempDir())
	t.Setenv("INGOT_KEYCHAIN", "off")
	b, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "https://s3.example.org:9000"
	if _, err := s3.Credentials("keychain", "", endpoint, b.Secrets); err == nil {
		t.Fatal("credentials were found before there were any")
	}
	if name, err := b.KeepCredentials(context.Background(), endpoint, "ACCESS", "se:cret/+="); err != nil || name != "s3:s3.example.org:9000" {
		t.Fatalf("%q, %v", name, err)
	}
	c, err := s3.Credentials("keychain", "", endpoint, b.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.GetWithContext(nil); err != nil || v.AccessKeyID != "ACCESS" || v.SecretAccessKey != "se:cret/+=" {
		t.Errorf("%+v, %v", v, err)
	}
	var bad *build.OptionError
	for _, wrong := range [][3]string{{"", "A", "s"}, {"s3.example.org", "A", "s"}, {endpoint, "", "s"}, {endpoint, "A", ""}, {endpoint, "A:B", "s"}, {endpoint, "A", "s t"}} {
		if _, err := b.KeepCredentials(context.Background(), wrong[0], wrong[1], wrong[2]); !errors.As(err, &bad) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
