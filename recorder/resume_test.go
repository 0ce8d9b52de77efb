package recorder

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestAnExportJumpsInASealedFile: each part read alone is the same as in the whole.
func TestAnExportJumpsInASealedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.dbr")
	if err := os.WriteFile(path, build(t, 6000), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := Keys{Keyring: testRing(t)}
	e, err := NewExport(t.Context(), func() (Source, error) { return OpenResumable(path, keys) }, ExportOptions{Format: OggStereo})
	if err != nil {
		t.Fatal(err)
	}
	r := e.NewReader()
	defer r.Close()
	whole, err := io.ReadAll(r)
	if err != nil || int64(len(whole)) != e.Size() {
		t.Fatalf("%d of %d bytes, %v", len(whole), e.Size(), err)
	}
	for off := e.Size() - 1; off > 0; off -= e.Size()/17 + 1 {
		if _, err := r.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		part := make([]byte, min(5000, e.Size()-off))
		if _, err := io.ReadFull(r, part); err != nil {
			t.Fatalf("at %d: %v", off, err)
		}
		if string(part) != string(whole[off:off+int64(len(part))]) {
			t.Fatalf("the part at %d is another than in the whole", off)
		}
	}
}
