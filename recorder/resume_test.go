package recorder

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestAReaderIsTakenUpWhereAnotherWasLeft(t *testing.T) {
	file := build(t, 200)
	all, err := openBytes(file, testKeys(t))
	must(t, err)
	want := play(t, all)
	first, err := openBytes(file, testKeys(t))
	must(t, err)
	for i := range want {
		mark := first.Mark()
		second, err := openBytes(file, testKeys(t))
		must(t, err)
		must(t, second.Resume(mark))
		var a, b Packet
		must(t, second.Next(&b))
		must(t, first.Next(&a))
		if a.At != b.At || a.Side != b.Side || !bytes.Equal(a.Payload, b.Payload) || !bytes.Equal(a.Payload, want[i].Payload) {
			t.Fatalf("packet %d: %+v, taken up %+v", i, a, b)
		}
	}
	var p Packet
	if err := first.Next(&p); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %v", err)
	}
	if err := first.Resume(-1); !errors.Is(err, ErrInvalid) {
		t.Errorf("before the file: %v", err)
	}
}

// TestAJumpInAnExportOfARealFileIsExact exports a sealed file and compares every piece with the whole.
func TestAJumpInAnExportOfARealFileIsExact(t *testing.T) {
	file := build(t, 3000)
	open := func() (Source, error) { return openBytes(file, testKeys(t)) }
	e, err := NewExport(t.Context(), open, ExportOptions{})
	must(t, err)
	r := e.NewReader()
	defer r.Close()
	whole, err := io.ReadAll(r)
	must(t, err)
	if int64(len(whole)) != e.Size() {
		t.Fatalf("%d bytes, promised %d", len(whole), e.Size())
	}
	for _, at := range []int64{e.Size() - 1, 0, e.Size() / 2, 17, e.Size() - 4000} {
		_, err := r.Seek(at, io.SeekStart)
		must(t, err)
		piece := make([]byte, min(500, e.Size()-at))
		_, err = io.ReadFull(r, piece)
		must(t, err)
		if !bytes.Equal(piece, whole[at:at+int64(len(piece))]) {
			t.Errorf("from %d on the bytes differ", at)
		}
	}
}
