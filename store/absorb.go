package store

import (
	"deskbridge/policy"

	"github.com/dgraph-io/badger/v4"
)

// mergePolicy adds the states of a customer to those of the one it was merged into, line by line and over all lines. The
// version moves on, so a decision made before the merge is made again.
func (t *tx) mergePolicy(from, into string, seq uint64) error {
	moves := [][2][]byte{{key(tabGlobal, from), key(tabGlobal, into)}}
	prefix := pairKey("", from)
	err := t.scan(prefix, func(k []byte, _ *badger.Item) (bool, error) {
		moves = append(moves, [2][]byte{append([]byte(nil), k...), pairKey(string(k[len(prefix):]), into)})
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, m := range moves {
		if have, err := t.has(m[0]); err != nil {
			return err
		} else if !have {
			continue
		}
		old, err := t.policyView(m[0])
		if err != nil {
			return err
		}
		v, err := t.policyView(m[1])
		if err != nil {
			return err
		}
		if v.full != nil || old.full != nil {
			full := policy.Merge(v.state(), old.state())
			v.full = &full
		}
		v.Version, v.State = seq, policy.Merge(v.State, old.State)
		if err := t.keepPolicy(m[1], into, v); err != nil {
			return err
		}
		if err := t.del(m[0]); err != nil {
			return err
		}
	}
	return nil
}
