package store

import "errors"

// total is a sum that a view keeps.
func (t *tx) total(k []byte) (int64, error) {
	b, err := t.get(k)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return int64(asU64(b)), err
}

func (t *tx) add(k []byte, n int64) error {
	sum, err := t.total(k)
	if err != nil {
		return err
	}
	if sum += n; sum == 0 {
		return t.del(k)
	}
	return t.set(k, u64(uint64(sum)))
}

// totalKey names a sum of a table of rows.
func totalKey(table byte, name string) []byte { return append([]byte{tabTotal, table}, name...) }
