// Package e2e holds the tests that walk the whole line with real kernels, real
// boots and a real S3 server: `make e2e`. They need the tools that
// `ingot doctor` names, and some minutes.
package e2e
