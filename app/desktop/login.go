package desktop

// entryName is the name of the desktop entry, without .desktop, in
// notifications and in the entry that starts Ingot at login.
const entryName = "ingot"
