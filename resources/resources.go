// Package resources holds the data that ships inside the program: target
// recipes and their locks (targets/), kernel configuration fragments (kernel/),
// the rule packs of boot causes (causes/), of leaks (leaks/) and of what is taken out of
// a system (sanitise/), and the icons
// (icons/, drawn by scripts/icons). It holds no logic and imports nothing of Ingot's.
package resources

import "embed"

// FS is the read-only tree of all shipped data, rooted at this directory.
//
//go:embed targets kernel causes leaks sanitise packer icons
var FS embed.FS
