package desktop

import (
	"slices"
	"strings"
	"testing"
)

// An open window comes to the front by LaunchServices, if it is a bundle of a Mac.
func TestActivate(t *testing.T) {
	const bundle = "/Applications/Ingot.app/Contents/Helpers/Ingot Window.app"
	if got := activate("darwin", bundle+"/Contents/MacOS/ingot-window"); !slices.Equal(got, []string{"/usr/bin/open", "-a", bundle}) {
		t.Errorf("%q", got)
	}
	for goos, program := range map[string]string{"darwin": "/usr/local/bin/ingot-window", "linux": bundle + "/Contents/MacOS/ingot-window"} {
		if got := activate(goos, program); got != nil {
			t.Errorf("%s, %s: %q", goos, program, got)
		}
	}
}

func TestCrashReason(t *testing.T) {
	for name, c := range map[string]struct{ log, want string }{
		"a crash":     {"2026/11/26 started\npanic: close of closed channel\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:23 +0x45\n", "panic: close of closed channel"},
		"a signal":    {"SIGSEGV: segmentation violation\nPC=0x0 m=0 sigcode=1\n\ngoroutine 0 [idle]:\n", "SIGSEGV: segmentation violation"},
		"an error":    {"warning\ningot-app: no display\n", "ingot-app: no display"},
		"no crash":    {"it said panic: in a sentence\nlast\n", "last"},
		"no word":     {"", ""},
		"a runtime's": {"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:\n", "fatal error: all goroutines are asleep - deadlock!"},
	} {
		if got := crashReason(strings.NewReader(c.log)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
