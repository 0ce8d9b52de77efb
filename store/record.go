package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	recordVersion = 1
	macSize       = 16
)

// record is a value as it lies in Badger: a clear part (times, counters, codes), a part sealed under the owner's key,
// and a MAC over the place it is stored at and all of it, so that a flipped byte or a record moved to another key is an
// error even after the owner's key is erased.
//
//	version | owner | clear | sealed | MAC (16 bytes)     each with its length as uvarint
type record struct {
	owner  string // whose key seals it: a customer, "call:…", or empty for the appliance
	clear  []byte
	sealed []byte
}

func (r record) encode(macKey, at []byte) []byte {
	b := make([]byte, 0, 1+3*binary.MaxVarintLen32+len(r.owner)+len(r.clear)+len(r.sealed)+macSize)
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(len(r.owner)))
	b = append(b, r.owner...)
	b = binary.AppendUvarint(b, uint64(len(r.clear)))
	b = append(b, r.clear...)
	b = binary.AppendUvarint(b, uint64(len(r.sealed)))
	b = append(b, r.sealed...)
	return append(b, recordMAC(macKey, at, b)...)
}

// decodeRecord checks and splits b. The parts alias b.
func decodeRecord(macKey, at, b []byte) (record, error) {
	if len(b) < 1+3+macSize {
		return record{}, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, recordMAC(macKey, at, body)) {
		return record{}, fmt.Errorf("%w: authentication", ErrCorrupt)
	}
	if body[0] != recordVersion {
		return record{}, fmt.Errorf("%w: record version %d", ErrSchema, body[0])
	}
	rest := body[1:]
	var parts [3][]byte
	for i := range parts {
		n, w := binary.Uvarint(rest)
		if w <= 0 || n > uint64(len(rest)-w) {
			return record{}, fmt.Errorf("%w: length", ErrCorrupt)
		}
		parts[i], rest = rest[w:w+int(n)], rest[w+int(n):]
	}
	if len(rest) != 0 {
		return record{}, fmt.Errorf("%w: %d bytes too many", ErrCorrupt, len(rest))
	}
	return record{owner: string(parts[0]), clear: parts[1], sealed: parts[2]}, nil
}

func recordMAC(macKey, at, body []byte) []byte {
	h := hmac.New(sha256.New, macKey)
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(at)))
	h.Write(n[:])
	h.Write(at)
	h.Write(body)
	return h.Sum(nil)[:macSize]
}

// place is the additional data of a sealed part: it binds the ciphertext to its record and its owner.
func place(at []byte, owner string) []byte {
	return bytes.Join([][]byte{[]byte("deskbridge/1"), at, []byte(owner)}, []byte{0})
}
