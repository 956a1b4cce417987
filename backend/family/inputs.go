package family

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"ingot/backend/target"
)

// Digest returns the SHA-256 of plain data as hex. It is used for input keys and for
// long values in them.
func Digest(parts ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h) // encodes maps in the order of their keys
	for _, p := range parts {
		_ = enc.Encode(p) // plain data into a hash: cannot fail
	}
	return hex.EncodeToString(h.Sum(nil))
}

// StepInputs returns the part of a step's inputs that its code determines: the text of
// each of its scripts, which are files of the folder scripts, and the programs that
// they call.
func StepInputs(folder fs.ReadFileFS, scripts []string, programs []Tool) map[string]string {
	in := map[string]string{}
	for _, name := range scripts {
		text, err := folder.ReadFile("scripts/" + name)
		if err != nil {
			panic(err) // embedded: a missing one fails every test
		}
		in["script "+name] = Digest(string(text))
	}
	var list strings.Builder
	for _, t := range programs {
		fmt.Fprintf(&list, "%s (%s)\n", t.Name, t.Package)
	}
	in["programs"] = Digest(list.String())
	return in
}

// PackageInput returns the value of a locked package in a step's inputs.
func PackageInput(p target.LockedPackage) string {
	return p.Name + "=" + p.Version + " " + p.SHA256
}

// PackagesInput returns the value of a list of locked packages in a step's inputs: the
// digest of their digests, independent of their order.
func PackagesInput(pkgs []target.LockedPackage) string {
	out := make([]string, len(pkgs))
	for i, p := range pkgs {
		out[i] = p.SHA256
	}
	slices.Sort(out)
	return Digest(out)
}
