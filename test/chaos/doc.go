// Package chaos kills what the queue consists of – submitter, workers, server –
// at random moments, fills its disk, and looks at what is left: `make chaos`.
package chaos
