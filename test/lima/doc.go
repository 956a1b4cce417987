// Package lima holds the tests with real Lima VMs: limactl 2.2.0 made from its
// module, a Debian 12 guest made of Debian's packages, QEMU's TCG, and a user
// that is not root. `make e2e-lima` makes what they need and runs them.
package lima
