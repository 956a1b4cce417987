package api

// Version is the version of Ingot; the linker sets it in a release.
var Version = "dev"
