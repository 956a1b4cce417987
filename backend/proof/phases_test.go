package proof

import (
	"slices"
	"testing"
)

// The phases are found in a log in their order; a line that looks like an earlier one
// comes too late, and a login prompt needs no line of init before it.
func TestPhases(t *testing.T) {
	for name, c := range map[string]struct {
		log, want []string
	}{
		"whole":     {[]string{"\x1b[2JUEFI firmware (version 2022.11)", "BdsDxe: loading Boot0001", "EFI stub: Booting Linux Kernel...", "[    0.000000] Linux version 6.1.0", "[    1.0] systemd[1]: Detected architecture arm64.", "UEFI firmware (version 2022.11)", "debian login: "}, []string{"firmware", "loader", "kernel", "init", "login"}},
		"hang":      {[]string{"UEFI firmware (version 2022.11)", "EFI stub: Booting Linux Kernel..."}, []string{"firmware", "loader"}},
		"quiet":     {[]string{"[    0.000000] Linux version 6.1.0", "debian login: "}, []string{"kernel", "login"}},
		"no prompt": {[]string{"[    0.000000] Linux version 6.1.0", "Last login: Mon"}, []string{"kernel"}},
		"nothing":   {[]string{"", "hello"}, nil},
	} {
		got, err := Phases(c.log)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range got {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("%s: %v, want %v", name, names, c.want)
		}
	}
}
