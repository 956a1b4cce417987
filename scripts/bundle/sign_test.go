package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bundle is signed from inside out and checked before it is packed, by what stands
// for a Mac's tools and writes down its arguments.
func TestSign(t *testing.T) {
	sign := func(broken string, env ...string) (calls []string, err error) {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		for _, tool := range []string{"codesign", "ditto", "xcrun", "hdiutil"} {
			script := "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>" + log + "\ncase $* in " + broken + ") exit 1;; esac\n"
			if err := os.WriteFile(filepath.Join(dir, tool), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		app := filepath.Join(dir, "Ingot.app")
		if err := os.Mkdir(app, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("bash", "../sign.sh", app)
		cmd.Env = append(os.Environ(), append(env, "PATH="+dir+":/usr/bin:/bin", "TMPDIR="+dir)...)
		out, err := cmd.CombinedOutput()
		text, rerr := os.ReadFile(log)
		if rerr != nil {
			t.Fatalf("%v: %v\n%s", rerr, err, out)
		}
		for l := range strings.Lines(strings.ReplaceAll(string(text), dir+"/", "")) {
			calls = append(calls, strings.TrimSpace(l))
		}
		if err != nil {
			err = errors.New(string(out))
		}
		return calls, err
	}
	calls, err := sign("none")
	if err != nil || len(calls) != 6 {
		t.Fatalf("%q, %v", calls, err)
	}
	calls[5] = strings.Join(strings.Fields(calls[5])[:4], " ") // then a temporary folder
	if want := []string{
		"codesign --force --sign - --identifier org.ingot.app.window --options runtime --timestamp=none Ingot.app/Contents/Helpers/Ingot Window.app",
		"codesign --force --sign - --identifier org.ingot.cli --options runtime --timestamp=none Ingot.app/Contents/MacOS/ingot",
		"codesign --force --sign - --identifier org.ingot.app --options runtime --timestamp=none Ingot.app",
		"codesign --verify --strict --deep Ingot.app",
		"ditto -c -k --keepParent Ingot.app Ingot.zip",
		"hdiutil create -quiet -volname",
	}; !slices.Equal(calls, want) {
		t.Errorf("%s", strings.Join(calls, "\n"))
	}
	if calls, err = sign("none", "SIGN=Developer ID Application: X", "NOTARY=p"); err != nil || len(calls) != 9 || !strings.Contains(calls[0], "--timestamp ") || !strings.HasPrefix(calls[5], "xcrun notarytool submit Ingot.zip --keychain-profile p") || !strings.HasPrefix(calls[6], "xcrun stapler staple") || !strings.HasPrefix(calls[7], "ditto") {
		t.Errorf("notarised: %q, %v", calls, err)
	}
	if calls, err = sign("none", "NOTARY=p"); err == nil || !strings.Contains(err.Error(), "set SIGN") {
		t.Errorf("ad-hoc and notarised: %q, %v", calls, err)
	}
	if calls, err = sign("*--verify*"); err == nil || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "ditto") }) {
		t.Errorf("a signature that does not hold was packed: %q, %v", calls, err)
	}
}
