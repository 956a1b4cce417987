package evidence

// Boots reports whether the document is a signed proof of a successful boot.
func Boots(d Document) bool {
	return d.Trust == Signed && d.Head.Kind == KindProof && d.Head.Verdict == Passed
}
