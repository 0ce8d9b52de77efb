package store

import (
	"encoding/json"
	"fmt"
	"unicode"
)

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// unindexCustomers takes erased customers out of the search.
func (t *tx) unindexCustomers(f Fact) error {
	var ids []string
	if err := json.Unmarshal(f.Data, &ids); err != nil {
		return fmt.Errorf("%w: erasure %d: %w", ErrCorrupt, f.Seq, err)
	}
	for _, id := range ids {
		if err := t.fileUnder(id, nil); err != nil {
			return err
		}
	}
	return nil
}
