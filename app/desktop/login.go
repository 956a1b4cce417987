package desktop

// entryName is the name of the desktop entry, without .desktop: notifications
// and the entry that starts Ingot at login carry it.
const entryName = "ingot"
