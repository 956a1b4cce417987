package desktop

import "testing"

func TestMisplaced(t *testing.T) {
	for program, want := range map[string]bool{
		"/private/var/folders/ab/cd/X/AppTranslocation/0B1C-22/d/Ingot.app/Contents/MacOS/ingot-app": true,
		"/Applications/Ingot.app/Contents/MacOS/ingot-app":                                           false,
		"/home/me/AppTranslocation": false,
	} {
		if err := Misplaced(program); (err != nil) != want {
			t.Errorf("%s: %v", program, err)
		}
	}
}
