package recorder

// Resumable is a Reader that an Export can leave at a packet and take up there again.
type Resumable struct{ *Reader }

var _ Resumer = Resumable{}

// OpenResumable is Open for NewExport.
func OpenResumable(path string, k Keys) (Resumable, error) {
	r, err := Open(path, k)
	return Resumable{r}, err
}

// Mark implements Resumer: the place in the file where the walk goes on.
func (r Resumable) Mark() int64 { return r.scan.pos }

// Resume implements Resumer.
func (r Resumable) Resume(mark int64) error {
	r.seek(max(mark, r.body))
	r.from = 0
	return nil
}
