package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"ingot/backend/api"
	"ingot/backend/cause"
)

// appProgram is the app's program; it lies beside ingot, or in PATH.
const appProgram = "ingot-app"

// FindApp returns the path of the app's program. The error of a computer without it has
// the cause host.no-app.
func FindApp() (string, error) {
	if self, err := api.Program(); err == nil {
		beside := filepath.Join(filepath.Dir(self), appProgram)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath(appProgram)
	if err != nil {
		return "", cause.With("host.no-app", fmt.Errorf("%s is neither beside ingot nor in PATH", appProgram))
	}
	return found, nil
}
