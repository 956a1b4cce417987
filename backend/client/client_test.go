package client

import (
	"strings"
	"testing"

	"ingot/backend/api"
)

func TestSkew(t *testing.T) {
	env := api.Environment([]string{"AWS_PROFILE=a", "HOME=/x", "INGOT_OWNER_IDLE=1s", "https_proxy=p", "EMPTY=", "INGOT_CACHE="})
	if len(env) != 2 || strings.Contains(strings.Join([]string{env["AWS_PROFILE"], env["https_proxy"]}, " "), "p ") {
		t.Errorf("%v", env)
	}
	o := api.OwnerInfo{Version: "1", Env: map[string]string{"AWS_PROFILE": env["AWS_PROFILE"], "MINIO_X": "1"}}
	if s := skew(o, "1", env); s != "another environment (MINIO_X, https_proxy)" {
		t.Error(s)
	}
	if s := skew(o, "2", env); s != "version 1, not 2" {
		t.Error(s)
	}
	o.Env = env
	if s := skew(o, "1", env); s != "" {
		t.Error(s)
	}
}
