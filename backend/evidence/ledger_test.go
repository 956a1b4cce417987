package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Newest leaves out old builds, but not what the newest artifact is made of,
// nor the newest proof that is about it.
func TestNewest(t *testing.T) {
	sha := func(digit string) string { return strings.Repeat(digit, 64) }
	type kept struct {
		kind    Kind
		verdict Verdict
		about   string // digit of the subject
		key     string
	}
	const image, a1, a2, inputs = "1", "2", "3", "4"
	old := []kept{{KindImage, Passed, image, "i"}, {KindArtifact, Passed, a1, "x"}, {KindProof, Passed, a1, "p"}}
	for name, c := range map[string]struct {
		builds [][]kept
		want   string // kinds and builds, oldest first
	}{
		"one build":                      {[][]kept{old}, "Image 0, Artifact 0, Proof 0"},
		"the same again":                 {[][]kept{old, old}, "Image 1, Artifact 1, Proof 1"},
		"a later proof of the same":      {[][]kept{old, {{KindProof, Failed, a1, "p"}}}, "Image 0, Artifact 0, Proof 0, Proof 1"},
		"a later proof of other bytes":   {[][]kept{old, {{KindProof, Failed, inputs, "p"}}}, "Image 0, Artifact 0, Proof 0, Proof 1"},
		"several of other bytes":         {[][]kept{old, old, {{KindProof, Failed, inputs, "p"}}, {{KindProof, Failed, a2, "p"}}}, "Image 1, Artifact 1, Proof 1, Proof 2, Proof 3"},
		"a later artifact, not proven":   {[][]kept{old, {{KindArtifact, Passed, a2, "x"}}}, "Image 0, Proof 0, Artifact 1"},
		"a later image alone":            {[][]kept{old, {{KindImage, Failed, inputs, "i"}}}, "Image 0, Artifact 0, Proof 0, Image 1"},
		"a later export failed":          {[][]kept{old, old, {{KindArtifact, Failed, inputs, "x"}}}, "Image 1, Artifact 1, Proof 1, Artifact 2"},
		"published to two destinations":  {[][]kept{append(slices.Clone(old), kept{KindReceipt, Passed, a1, "u"}), {{KindReceipt, Passed, a1, "v"}}}, "Image 0, Artifact 0, Proof 0, Receipt 0, Receipt 1"},
		"a receipt of an earlier one":    {[][]kept{{{KindReceipt, Passed, a2, "u"}}, old, {{KindReceipt, Passed, a1, "v"}}}, "Image 1, Artifact 1, Proof 1, Receipt 2"},
		"an archive is no bootable disk": {[][]kept{old, {{KindArtifact, Passed, a2, "x/tar.zst"}}}, "Image 0, Artifact 0, Proof 0, Artifact 1"},
	} {
		s, l := signer(t), Ledger{t.TempDir()}
		for i, docs := range c.builds {
			b, err := l.Build("t", fmt.Sprintf("b%d", i))
			if err != nil {
				t.Fatal(err)
			}
			for n, k := range docs {
				head := Head{APIVersion: "ingot/v1", Kind: k.kind, Target: "t", Build: b.ID, At: time.Unix(int64(10*i+n), 0).UTC(), Verdict: k.verdict, InputKey: k.key}
				d, err := Seal(context.Background(), s, Subject{Name: "x", Digest: map[string]string{"sha256": sha(k.about)}}, head, Artifact{Head: head, ImageDigest: sha(image)})
				if err == nil {
					_, err = b.Include(t.Context(), author(s), d)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		docs, err := l.Newest(context.Background(), "t", KeyOf(s))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range docs {
			got = append(got, string(d.Head.Kind)+" "+strings.TrimPrefix(d.Head.Build, "b"))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, ", "), c.want)
		}
	}
}
