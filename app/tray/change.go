package tray

import "slices"

// sameShape reports whether two menus have the same items in the same places,
// so that changing labels turns one into the other.
func sameShape(a, b []Item) bool {
	return slices.EqualFunc(a, b, func(x, y Item) bool {
		return x.ID == y.ID && x.Separator == y.Separator && x.Check == y.Check && sameShape(x.Items, y.Items)
	})
}

// shown returns the items of a menu by ID.
func shown(items []Item) map[string]Item {
	all := map[string]Item{}
	var walk func([]Item)
	walk = func(items []Item) {
		for _, i := range items {
			all[i.ID] = i
			walk(i.Items)
		}
	}
	walk(items)
	return all
}

// changes returns the items of old that look different in now. An item that is
// missing in now, because it ended while the menu was open, is disabled and
// stays until the menu is built again.
func changes(old, now []Item) []Item {
	is := shown(now)
	var out []Item
	var walk func([]Item)
	walk = func(items []Item) {
		for _, o := range items {
			n, ok := is[o.ID]
			if !ok {
				n = o
				n.Disabled = true
			}
			if !o.Separator && (n.Label != o.Label || n.Disabled != o.Disabled || n.Checked != o.Checked) {
				out = append(out, n)
			}
			walk(o.Items)
		}
	}
	walk(old)
	return out
}

// apply returns a menu in which the labels and states of some items are
// changed; actions and places stay.
func apply(items, changed []Item) []Item {
	by := map[string]Item{}
	for _, c := range changed {
		by[c.ID] = c
	}
	var walk func([]Item) []Item
	walk = func(items []Item) []Item {
		items = slices.Clone(items)
		for i := range items {
			if c, ok := by[items[i].ID]; ok {
				items[i].Label, items[i].Disabled, items[i].Checked, items[i].Do = c.Label, c.Disabled, c.Checked, c.Do
			}
			items[i].Items = walk(items[i].Items)
		}
		return items
	}
	return walk(items)
}
