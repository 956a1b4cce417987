package api

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Environment returns the environment variables that affect a build, with
// digests of their values, so that a client can compare them with its owner's.
func Environment(environ []string) map[string]string {
	out := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		matters := strings.HasPrefix(name, "INGOT_") && !strings.HasPrefix(name, "INGOT_OWNER_") && !strings.HasPrefix(name, "INGOT_E2E") ||
			strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "MINIO_") || strings.HasPrefix(name, "MC_HOST_") || name == "LIMA_HOME" || strings.HasSuffix(upper, "_PROXY")
		if matters && value != "" {
			sum := sha256.Sum256([]byte("ingot-env\x00" + value))
			out[name] = hex.EncodeToString(sum[:8])
		}
	}
	return out
}
