package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"ingot/app/desktop"
	"ingot/backend/api"
	"ingot/backend/macproof"
)

// checkItself runs the checks of the desktop inside the running menu, writes their
// answers for scripts/mac-proof.sh, and ends the menu.
func (m *menu) checkItself() error {
	defer m.stop()
	instance, err := api.FindInstance(desktop.MenuRole)
	if err != nil {
		return err
	}
	notifier := m.policy.Notifier
	if _, none := notifier.(logNotifier); none {
		notifier = nil
	}
	r := desktop.Running{Notifier: notifier, Data: instance.Data(), Log: m.logFile, Opened: m.opened}
	var all []macproof.Result
	for _, c := range desktop.SelfChecks(r) {
		started := time.Now()
		err := c.Check(m.ctx)
		if m.ctx.Err() != nil {
			return errors.New("the self check was ended before its end")
		}
		res := macproof.Result{ID: c.ID, By: macproof.ByApp, Verdict: macproof.Passed, Seconds: time.Since(started).Round(time.Millisecond).Seconds()}
		var skip desktop.SkipError
		switch {
		case errors.As(err, &skip):
			res.Verdict, res.Why = macproof.Skipped, skip.Error()
		case err != nil:
			res.Verdict, res.Why = macproof.Failed, err.Error()
		}
		m.log.Info("self check", "id", c.ID, "verdict", res.Verdict, "why", res.Why)
		all = append(all, res)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(m.selfcheck, append(text, '\n'), 0o600)
}
