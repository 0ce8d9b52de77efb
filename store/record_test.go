package store

import (
	"bytes"
	"errors"
	"testing"

	"deskbridge/bridge"

	"github.com/dgraph-io/badger/v4"
)

func TestFlippedByteIsAnErrorInEveryRecord(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	cust, err := s.Resolve(ctx, Identity{Phone: "4915112345678", Name: "Erika"})
	must(t, err)
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR("c1", cust)}))
	k := key(tabCall, "c1")
	var good []byte
	must(t, s.view(ctx, func(x *tx) (err error) { good, err = x.get(k); return err }))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		must(t, s.view(ctx, func(x *tx) error {
			if _, _, _, err := x.open(k, bad); !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d flipped: %v", i, err)
			}
			return nil
		}))
	}
	must(t, s.view(ctx, func(x *tx) error { // a record moved to another key
		if _, _, _, err := x.open(key(tabCall, "c2"), good); !errors.Is(err, ErrCorrupt) {
			t.Errorf("moved record: %v", err)
		}
		return nil
	}))
}

func TestDamagedRecordsOnDiskAreErrorsNotPanics(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	populate(t, s)
	_, err := s.Put(ctx, "k", []byte("x"))
	must(t, err)
	var keys [][]byte
	must(t, s.view(ctx, func(x *tx) error {
		return x.scan(nil, func(k []byte, it *badger.Item) (bool, error) {
			if it.ValueSize() > 0 && k[0] != tabMeta && len(keys) < 400 {
				keys = append(keys, append([]byte(nil), k...))
			}
			return true, nil
		})
	}))
	for i, k := range keys {
		_, err := s.submit(ctx, classNormal, func(x *tx) error {
			v, err := x.get(k)
			if err != nil {
				return err
			}
			v[i%len(v)] ^= 1
			return x.set(k, v[:len(v)-i%2])
		})
		must(t, err)
	}
	_, _ = s.Facts(ctx, FactQuery{Limit: 1000})
	_, _ = s.Calls(ctx, CallQuery{})
	_, _ = s.OpenCalls(ctx)
	_ = s.Pending(ctx, func(string, []byte) error { return nil })
	_, _ = s.Resolve(ctx, Identity{Phone: "4915100000001", BSUID: "DE.1"})
	_ = s.Done(ctx, "k")
	_ = s.Rebuild(ctx)
}

func FuzzDecodeRecord(f *testing.F) {
	mac, at := []byte("mac key"), []byte("ckey")
	f.Add(record{owner: "c1", clear: []byte(`{"id":"c1"}`), sealed: bytes.Repeat([]byte{7}, 40)}.encode(mac, at))
	f.Add(record{}.encode(mac, at))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeRecord(mac, at, b); err == nil && !bytes.Equal(b, mustEncode(mac, at, b)) {
			t.Error("accepted a record that encodes differently")
		}
		// With a right MAC the lengths are what is left to lie about.
		signed := append(bytes.Clone(b), recordMAC(mac, at, b)...)
		if r, err := decodeRecord(mac, at, signed); err == nil && len(r.owner)+len(r.clear)+len(r.sealed) > len(b) {
			t.Error("parts are longer than the record")
		}
	})
}

func mustEncode(mac, at, b []byte) []byte {
	r, _ := decodeRecord(mac, at, b)
	return r.encode(mac, at)
}

// FuzzStoredPayload feeds decoders behind the authentication: JSON of facts, calls, customers and the pending frame.
func FuzzStoredPayload(f *testing.F) {
	clear, personal, err := splitCDR(testCDR("c1", bridge.Customer{ID: "x", Phone: "1"}))
	must(f, err)
	f.Add(clear, personal)
	f.Add([]byte(`{"legs":[{},{}]}`), []byte(`{"l":[{}]}`))
	f.Add([]byte{bodyParts, 1, 'k'}, bytes.Repeat([]byte{9}, 20))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, _ = joinCDR(a, b)
		_, _ = decodeCustomer(a, b)
		it, blob, _, err := decodePending(append(bytes.Clone(a), b...))
		if err == nil && blob == nil && len(it.Key)+len(it.Raw) > len(a)+len(b) {
			t.Error("parts are longer than the record")
		}
	})
}
