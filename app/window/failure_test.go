package window

import (
	"strings"
	"testing"

	"ingot/backend/api"
	"ingot/backend/status"
)

// A failure has the button that does something about its cause first, then that which
// tries again.
func TestFailureActions(t *testing.T) {
	p, news := acted()
	s := shown(t, p, "home", news)
	for cause, want := range map[string]string{
		"guest.tool-missing": "Install what is missing…|Try again", "lima.missing": "Install what is missing…|Try again", "lock.input-missing": "Renew the lock and build|Try again",
		"config.invalid": "Open the recipe|Try again", "publish.credentials": "Set up publishing…|Try again", "vm.must-stop": "Show VMs|Try again", "kernel.panic": "Try again", "": "Try again",
	} {
		var labels []string
		for _, a := range s.actions(trouble{target: "x", cause: cause}) {
			labels = append(labels, a.label)
		}
		if got := strings.Join(labels, "|"); got != want {
			t.Errorf("%s: %s, want %s", cause, got, want)
		}
	}
}

// A build that failed shows the card, whose buttons work; the report has all of it.
func TestFailureCard(t *testing.T) {
	p, news := acted()
	failed(p, &news)
	p.journal = []api.Event{{Kind: api.EventBuildStarted}, {Kind: api.EventStepStarted, Step: "prove"}, {Kind: api.EventStepFinished, Step: "prove", Outcome: api.OutcomeFailed},
		{Kind: api.EventBuildFinished, Outcome: api.OutcomeFailed, Cause: "lock.input-missing", Msg: "linux_6.1.orig.tar.xz is on no mirror", Fix: "renew the lock"}}
	p.builds = []status.BuildInfo{{ID: buildID, Target: "debian-12-amd64", Outcome: api.OutcomeFailed}}
	s := shown(t, p, "builds/debian-12-amd64/"+buildID, news)
	s.until("The step prove failed")
	s.until("linux_6.1.orig.tar.xz is on no mirror")
	s.until("lock.input-missing")
	s.tap("Renew the lock and build")
	s.asked(p, "submit debian-12-amd64 until= force=[]")
	s.on(func() {
		r := s.troubleOf(trouble{target: "t", what: "The step prove failed", message: "m", cause: "kernel.hang", fix: "look again"}).report()
		if want := "Ingot: t: The step prove failed\nm\ncause: kernel.hang\n"; !strings.HasPrefix(r, want) || !strings.HasSuffix(r, "Look again.") {
			t.Errorf("the report: %q", r)
		}
	})
}

func TestSentenceOf(t *testing.T) {
	for in, want := range map[string]string{"": "", "look at it": "Look at it.", "Run `ingot doctor`": "Run `ingot doctor`", "ünder": "ünder.", "a.": "A.", "see https://lima-vm.io/docs/": "See https://lima-vm.io/docs/"} {
		if got := sentence(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
