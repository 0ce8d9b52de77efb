package recorder

import "fmt"

var _ Resumer = (*Reader)(nil)

// Mark implements Resumer: the place in the file of what Next reads next.
func (x *Reader) Mark() int64 { return x.scan.pos }

// Resume implements Resumer. Damaged counts anew.
func (x *Reader) Resume(mark int64) error {
	if mark < x.body || mark > x.size {
		return fmt.Errorf("resume recording: %w: no place in the file: %d", ErrInvalid, mark)
	}
	x.seek(mark)
	x.from, x.damaged = 0, 0
	return nil
}
